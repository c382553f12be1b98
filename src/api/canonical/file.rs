//! A file of secrets, as the dialect knows it: whoever has it implements this.
//!
//! Always holds: who writes it has seen what is in it. Never does: know where it is, or how it is written down.

use std::{future::Future, pin::Pin, sync::Arc};

use super::{super::Failed, tree::Node};
use crate::model::OkmsId;

/// A file of secrets.
pub trait SecretFile: Send + Sync {
    /// Whose it is.
    fn domain(&self) -> OkmsId;

    /// Whether it may be written.
    fn is_writable(&self) -> bool;

    /// What it holds now.
    fn read(&self) -> ReadingFile<'_>;

    /// Puts what `change` makes of what it holds in the place of that. It may be asked several times, as somebody
    /// else may write the file.
    fn change<'a>(&'a self, change: FileChange<'a>) -> ChangingFile<'a>;
}

/// What a file holds, on its way.
pub type ReadingFile<'a> = Pin<Box<dyn Future<Output = Result<Arc<Node>, Failed>> + Send + 'a>>;
/// What is to become of what a file holds.
pub type FileChange<'a> = Box<dyn FnMut(&mut Node) -> Result<(), Failed> + Send + 'a>;
/// A change on its way.
pub type ChangingFile<'a> = Pin<Box<dyn Future<Output = Result<(), Failed>> + Send + 'a>>;
