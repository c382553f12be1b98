//! How handshakes end, and why connections are closed.

use super::labels::labels;

labels! {
    /// Why a handshake was refused.
    pub enum HandshakeError {
        /// The peer's certificate, or one above it, has expired.
        Expired = "expired",
        /// The peer's certificate, or one above it, is not valid yet.
        NotYetValid = "not_yet_valid",
        /// The peer's certificate leads to no CA that is trusted.
        UnknownIssuer = "unknown_issuer",
        /// The peer's certificate bears the name of a CA that is trusted, and not its signature.
        BadSignature = "bad_signature",
        /// The peer's certificate is not for clients.
        WrongUsage = "wrong_usage",
        /// The peer's certificate is a CA's.
        IsAuthority = "is_authority",
        /// A CA may not sign for the names in the peer's certificate.
        NameConstraints = "name_constraints",
        /// The peer's certificate cannot be used for another reason.
        BadCertificate = "bad_certificate",
        /// The peer showed no certificate, and TLS asks for one.
        NoCertificate = "no_certificate",
        /// The peer refused the server: it does not trust its certificate, for instance.
        ByPeer = "by_peer",
        /// The peer speaks no TLS.
        NotTls = "not_tls",
        /// The peer speaks a version of TLS that is not served.
        Version = "protocol_version",
        /// The peer offers no cipher suite, key exchange or signature that is served.
        NothingInCommon = "nothing_in_common",
        /// The peer speaks a TLS that is not understood.
        Protocol = "protocol",
        /// The peer closed the connection.
        Gone = "gone",
        /// The peer closed the connection, and had not begun.
        Silent = "silent",
        /// The peer's address asks for too many handshakes.
        AddressRate = "address_rate",
        /// All addresses together do.
        Rate = "rate",
        /// The handshake took longer than it may.
        TooSlow = "too_slow",
    }
}

labels! {
    /// How a handshake ended.
    pub enum Handshake {
        /// With a client certificate.
        Certificate = "certificate",
        /// Without one.
        Anonymous = "anonymous",
        /// With a session that was resumed.
        Resumed = "resumed",
        /// Refused, or broken off.
        Failed = "failed",
        /// Too slow.
        TimedOut = "timed_out",
    }
}

labels! {
    /// What becomes of client certificates that proxies forward, where they are judged.
    pub enum Forwarded {
        /// It would be let in.
        Taken = "taken",
        /// It would not.
        Refused = "refused",
    }
}

labels! {
    /// Why the server closes a connection.
    pub enum Closing {
        /// Nothing came after the handshake.
        FirstByte = "first_byte",
        /// A request's head took too long.
        Head = "head",
        /// A request took too long.
        Request = "request",
        /// Nothing of an answer was taken.
        Stall = "stall",
        /// Nothing was asked for.
        Idle = "idle",
        /// It sent frames that ask for nothing, too many of them.
        Flood = "flood",
        /// Others of its party have the places that it could have.
        Share = "share",
        /// It was refused too often.
        Refusals = "refusals",
        /// Its place is wanted for somebody else.
        Wanted = "wanted",
    }
}
