//! okmsd: a self-hosted regional secret service.
//!
//! The map of the house, in the order in which a request travels:
//!
//! | room | what it owns |
//! | --- | --- |
//! | [`cli`] | the subcommands |
//! | [`app`] | builds every part once |
//! | [`config`] | settings, their defaults and units |
//! | [`server`] | sockets, TLS, deadlines, drain, the admin listener |
//! | [`http`] | the pipeline, the router |
//! | [`api`] | the dialects, and the table of errors |
//! | [`service`] | the use cases, free of HTTP |
//! | [`auth`] | from a certificate to a permit |
//! | [`audit`] | the audit trail |
//! | [`pki`] | the region's certificate authority |
//! | [`model`] | the rules, pure |
//! | [`crypto`] | root key, domain keys, sealing |
//! | [`store`] | the engine contract, keys, record forms, engines |
//! | [`material`], [`files`] | certificates and keys from files |
//! | [`metrics`], [`telemetry`], [`clock`], [`durable`], [`fair`], [`live`], [`seldom`], [`watch`] | leaves |
//!
//! Who may import whom is checked by `tests/tidy.rs`; `docs/ARCHITECTURE.md` tells the rest.

pub mod api;
pub mod app;
pub mod audit;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod durable;
pub mod fair;
pub mod files;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod http;
pub mod live;
pub mod material;
pub mod metrics;
pub mod model;
pub mod pki;
pub mod seldom;
pub mod server;
pub mod service;
pub mod store;
pub mod telemetry;
pub mod watch;
