//! The rules for emails and new passwords, and the hash of a password: what the component `auth` and
//! `cargo xtask user` share.
//!
//! Parsing is validation, so an [`Email`] or a [`NewPassword`] is always valid.

// A panic ends all requests of the instance, up to 16.
#![deny(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

pub mod argon2id;
mod common_passwords;
mod email;
mod new_password;

use std::borrow::Cow;

pub use email::Email;
pub use new_password::NewPassword;

/// A broken rule, as a predicate: "must contain a digit".
pub type Reason = Cow<'static, str>;
