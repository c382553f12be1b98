//! What goes wrong between here and PostgreSQL.

use tokio_postgres::error::{Severity, SqlState};

/// Why PostgreSQL did not do what it was asked for. Never says what it was asked with: of what the server says, its
/// code and its first line alone.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Fault {
    /// It said no; nothing was changed.
    #[error("PostgreSQL says {code}: {message}")]
    Said {
        /// Its SQLSTATE.
        code: String,
        /// Its words.
        message: String,
    },
    /// It, or what stands before it, ended the connection. What it was doing it may have done.
    #[error("PostgreSQL ended the connection, {code}: {message}")]
    Ended {
        /// Its SQLSTATE.
        code: String,
        /// Its words.
        message: String,
    },
    /// The connection is gone, or what came over it makes no sense.
    #[error("the connection to PostgreSQL is lost: {0}")]
    Lost(String),
    /// It took too long.
    #[error("PostgreSQL did not answer in time")]
    Late,
    /// None of the servers takes writes.
    #[error("no server of PostgreSQL takes writes: {0}")]
    NoPrimary(String),
    /// Nothing was made durable lately, so that an answer may be from the past.
    #[error("PostgreSQL has not acknowledged anything lately")]
    Stale,
    /// What others have committed could not be read lately.
    #[error("what other processes have committed cannot be read")]
    Behind,
    /// The server's settings lose what was acknowledged.
    #[error("PostgreSQL would lose what it acknowledges: {0}")]
    NotDurable(&'static str),
    /// There is no store, or one of another layout.
    #[error("{0}")]
    Schema(String),
    /// Credentials or authorities cannot be used.
    #[error("{0}")]
    Credentials(String),
    /// There are too many reads already.
    #[error("too many reads wait")]
    Busy,
}

impl Fault {
    /// The server's code.
    pub(super) fn code(&self) -> Option<&str> {
        match self {
            Self::Said { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Whether the server itself has said that the transaction did not happen.
    pub(super) const fn is_refusal(&self) -> bool {
        matches!(self, Self::Said { .. })
    }

    /// Whether the server has refused this and would not refuse something else: whoever was asked for together with it
    /// has to be asked for alone.
    pub(super) fn is_of_one(&self) -> bool {
        self.is_refusal() && !self.is_read_only()
    }

    /// Whether what is stored cannot be read (class XX).
    pub(super) fn is_damage(&self) -> bool {
        self.code().is_some_and(|code| code.starts_with("XX0"))
    }

    /// Whether the server takes no writes while it answers reads: it is full (53), or read-only (25).
    pub(super) fn is_read_only(&self) -> bool {
        self.code().is_some_and(|code| code.starts_with("53") || code.starts_with("25"))
    }

    /// Whether the same again may succeed: the server has undone one of two that were in each other's way.
    pub(super) fn is_passing(&self) -> bool {
        self.code().is_some_and(|code| {
            code == SqlState::T_R_SERIALIZATION_FAILURE.code()
                || code == SqlState::T_R_DEADLOCK_DETECTED.code()
        })
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(said) = error.as_db_error() {
            let message = said.message().lines().next().unwrap_or_default().to_owned();
            let code = said.code().code().to_owned();
            // An error undoes the transaction. What is fatal may have come behind its end, of a pooler for example.
            return match said.parsed_severity() {
                Some(Severity::Error) if !code.starts_with("08") && !code.starts_with("57P") => {
                    Self::Said { code, message }
                }
                _ => Self::Ended { code, message },
            };
        }
        // What lies beneath is of the connection or of TLS, and quotes nothing that was sent.
        let source = std::error::Error::source(&error);
        Self::Lost(source.map_or_else(|| error.to_string(), ToString::to_string))
    }
}
