//! How handshakes end.

/// Why a handshake was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The peer's certificate, or one above it, has expired.
    Expired,
    /// It is not valid yet.
    NotYetValid,
    /// No authority that is trusted vouches for it.
    UnknownIssuer,
    /// It cannot be used for another reason.
    BadCertificate,
    /// There is none, and TLS asks for one.
    NoCertificate,
    /// The peer refused us: it does not trust the server's certificate, for instance.
    ByPeer,
    /// The peer speaks no TLS.
    NotTls,
    /// The peer speaks a TLS that is not understood.
    Protocol,
    /// The peer left.
    Gone,
    /// It took too long.
    TooSlow,
}

impl Refused {
    /// The reason's name.
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
