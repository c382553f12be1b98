//! The file of secrets for developing: read again when it has changed, and replaced as a whole.
//!
//! Always holds: what is there is the file before or the one after, whenever the process ends; one writes at a time,
//! and what somebody else has written meanwhile is not lost. Never does: say what is in the file, or what of it is wrong
//! but where that is.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::yaml;
use crate::{
    api::{ChangingFile, Failed, FileChange, Node, Problem, ReadingFile, SecretFile},
    durable,
    model::{Invalid, OkmsId},
    watch::Marks,
};

/// The largest file, in bytes.
const BYTES_MAX: u64 = 1 << 20;
/// So often somebody else may write it while it is written.
const TRIES: usize = 16;
/// How it is made where there is none.
const MODE: u32 = 0o600;

/// The file of one domain.
pub(super) struct DevFile {
    held: Arc<Held>,
    domain: OkmsId,
    is_writable: bool,
    /// Held by whoever writes it.
    turn: tokio::sync::Mutex<()>,
}

struct Held {
    path: PathBuf,
    /// What was read last, and how the file looked then.
    known: Mutex<Option<(Marks, Arc<Node>)>>,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is larger than 1 MiB")]
    TooLarge,
    #[error("{0}")]
    NotPlain(#[from] yaml::NotPlain),
}

impl DevFile {
    pub(super) fn new(path: PathBuf, domain: OkmsId, is_writable: bool) -> Self {
        let held = Arc::new(Held { path, known: Mutex::default() });
        Self { held, domain, is_writable, turn: tokio::sync::Mutex::default() }
    }

    /// Does what waits for the disk.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Held) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Failed> {
        let held = Arc::clone(&self.held);
        let done = tokio::task::spawn_blocking(move || work(&held)).await;
        done.map_err(|_| Problem::Internal)?.map_err(|fault| {
            tracing::warn!(%fault, "dev.yaml_file cannot be used");
            Problem::FileUnavailable.into()
        })
    }

    async fn changes(&self, mut change: FileChange<'_>) -> Result<(), Failed> {
        let _turn = self.turn.lock().await;
        for _ in 0..TRIES {
            let (marks, before) = self.with(Held::load).await?;
            let mut tree = Node::clone(&before);
            change(&mut tree)?;
            if tree == *before {
                return Ok(());
            }
            let text = yaml::write(&tree)
                .map_err(|Invalid(rule)| Problem::InvalidField.with(&["value", rule]))?;
            if self.with(move |held| held.replace(&marks, &text)).await? {
                return Ok(());
            }
        }
        Err(Problem::KeptChanging.into())
    }
}

impl Held {
    /// What the file holds, and how it looks.
    fn load(&self) -> Result<(Marks, Arc<Node>), Fault> {
        // Before it is read: what is written meanwhile is seen the next time.
        let marks = Marks::of([self.path.as_path()]);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((seen, tree)) = &*known
            && *seen == marks
        {
            return Ok((marks, Arc::clone(tree)));
        }
        let tree = Arc::new(match read(&self.path)? {
            Some(text) => yaml::read(&text)?,
            None => Node::Map(Vec::new()),
        });
        *known = Some((marks.clone(), Arc::clone(&tree)));
        Ok((marks, tree))
    }

    /// Puts this text in the place of the file that looked so. Whether it did, still.
    fn replace(&self, marks: &Marks, text: &str) -> Result<bool, Fault> {
        // What a link leads to is replaced, and not the link.
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let mode = fs::metadata(&path).map_or(MODE, |seen| seen.permissions().mode() & 0o777);
        let draft = durable::draft(&path, text.as_bytes(), mode)?;
        if marks.again() != *marks {
            durable::remove(&draft)?;
            return Ok(false);
        }
        fs::rename(&draft, &path)?;
        durable::sync_folder(&path)?;
        Ok(true)
    }
}

/// The text of the file, if there is one.
fn read(path: &Path) -> Result<Option<String>, Fault> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut text = String::new();
    file.take(BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > BYTES_MAX { Err(Fault::TooLarge) } else { Ok(Some(text)) }
}

impl SecretFile for DevFile {
    fn domain(&self) -> OkmsId {
        self.domain
    }

    fn is_writable(&self) -> bool {
        self.is_writable
    }

    fn read(&self) -> ReadingFile<'_> {
        Box::pin(async { Ok(self.with(Held::load).await?.1) })
    }

    fn change<'a>(&'a self, change: FileChange<'a>) -> ChangingFile<'a> {
        Box::pin(self.changes(change))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> OkmsId {
        OkmsId::from_bytes([7; 16]).unwrap()
    }

    fn put(name: &'static str) -> FileChange<'static> {
        Box::new(move |tree| {
            let Node::Map(map) = tree else { panic!("a map") };
            map.push((name.to_owned(), Node::Text("x".to_owned())));
            Ok(())
        })
    }

    /// Writers that come at once each find what the one before has left, and what somebody else has written.
    #[tokio::test]
    async fn nobodys_writes_are_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.yaml");
        let file = Arc::new(DevFile::new(path.clone(), id(), true));
        assert_eq!(*file.read().await.unwrap(), Node::Map(Vec::new()), "there is none yet");
        let writers = ["a", "b", "c", "d", "e", "f", "g", "h"].map(|name| {
            let file = Arc::clone(&file);
            tokio::spawn(async move { file.change(put(name)).await.map_err(|_| name) })
        });
        for writer in writers {
            writer.await.unwrap().unwrap();
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let names = || {
            let text = fs::read_to_string(&path).unwrap();
            let mut names: Vec<_> =
                text.lines().map(|line| line.split(':').next().unwrap().to_owned()).collect();
            names.sort_unstable();
            names
        };
        assert_eq!(names().concat(), "abcdefgh");
        // Somebody writes while a change is decided.
        let (other, mut is_first) = (path.clone(), true);
        let meanwhile: FileChange<'_> = Box::new(move |tree| {
            if std::mem::take(&mut is_first) {
                fs::write(&other, "theirs: 1\n").unwrap();
            }
            put("ours")(tree)
        });
        file.change(meanwhile).await.unwrap_or_else(|_| panic!("it is tried again"));
        assert_eq!(names(), ["ours", "theirs"]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
    }

    /// What cannot be read is told without a word of what is in it, and comes back when it is mended.
    #[tokio::test]
    async fn a_file_that_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.yaml");
        let file = DevFile::new(path.clone(), id(), true);
        for text in ["a: &x 1\n", "- a\n", "a: [\n", &"#".repeat((1 << 20) + 1), "a: 1\na: 2\n"] {
            fs::write(&path, text).unwrap();
            let failed = file.read().await.unwrap_err();
            assert_eq!(failed.problem, Problem::FileUnavailable, "{}", text.len());
            assert!(file.change(put("x")).await.is_err());
            assert_eq!(fs::read_to_string(&path).unwrap(), text, "it is left as it is");
        }
        fs::write(&path, "a: 1\n").unwrap();
        let Node::Map(map) = &*file.read().await.unwrap() else { panic!("a map") };
        assert_eq!(map.len(), 1);
        // Where it is a link, what that leads to is replaced.
        let link = folder.path().join("link.yaml");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let by_link = DevFile::new(link.clone(), id(), true);
        by_link.change(put("b")).await.unwrap_or_else(|_| panic!("it is written"));
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&path).unwrap(), "a: 1\nb: x\n");
    }
}
