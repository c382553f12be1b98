//! How handshakes end.

/// Why a handshake was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeError {
    /// The peer's certificate, or one above it, has expired.
    Expired,
    /// The peer's certificate, or one above it, is not valid yet.
    NotYetValid,
    /// The peer's certificate leads to no CA that is trusted.
    UnknownIssuer,
    /// The peer's certificate cannot be used for another reason.
    BadCertificate,
    /// The peer showed no certificate, and TLS asks for one.
    NoCertificate,
    /// The peer refused the server: it does not trust its certificate, for instance.
    ByPeer,
    /// The peer speaks no TLS.
    NotTls,
    /// The peer speaks a TLS that is not understood.
    Protocol,
    /// The peer closed the connection.
    Gone,
    /// The handshake took longer than it may.
    TooSlow,
}

impl HandshakeError {
    /// The reason's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::UnknownIssuer => "unknown_issuer",
            Self::BadCertificate => "bad_certificate",
            Self::NoCertificate => "no_certificate",
            Self::ByPeer => "by_peer",
            Self::NotTls => "not_tls",
            Self::Protocol => "protocol",
            Self::Gone => "gone",
            Self::TooSlow => "too_slow",
        }
    }
}

/// How a handshake ended.
#[derive(Clone, Copy, Debug)]
pub enum Handshake {
    /// With a client certificate.
    Certificate,
    /// Without one.
    Anonymous,
    /// With a session that was resumed.
    Resumed,
    /// Refused, or broken off.
    Failed,
    /// Too slow.
    TimedOut,
}

impl Handshake {
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Anonymous => "anonymous",
            Self::Resumed => "resumed",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
        }
    }
}
