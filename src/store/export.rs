//! A whole store in one stream: what `okmsd store export` writes, and `okmsd store import` reads into another store,
//! of the same engine or of another one.
//!
//! Owns the form. Always holds: a stream has all records of one moment; one that was cut off or altered by accident is
//! refused by whoever reads it to its end, as that tells how many records there are and what all of it hashes to. What
//! was sealed in the store is sealed in the stream, which is as much of a secret as the store is. Never does: open what
//! is sealed, or know where records go.
//!
//! Integers are big-endian:
//!
//! | what | bytes |
//! | --- | --- |
//! | the head | `okmsd export`, line feed, layout of the records (4), revision (8), moment (8; 0 for none) |
//! | a space begins | `01`, length (1), name |
//! | a record of that space | `02`, length of the key (4), length of the value (4), key, value |
//! | the end | `00`, number of records (8), XXH3 of all before that (16) |

use std::io::{self, BufRead as _, BufReader, BufWriter, Read, Write};

use twox_hash::XxHash3_128;

use super::engine::{Engine, ReadError, Revision, Space};

const MAGIC: &[u8; 13] = b"okmsd export\n";
/// The layout of records. It grows when those of before have to be brought up ([`super::past`]).
const LAYOUT: u32 = 1;
const END: u8 = 0;
const SPACE: u8 = 1;
const RECORD: u8 = 2;
/// The longest key, in bytes, and the longest value: far more than any that there is.
const KEY_MAX: usize = 64 << 10;
const VALUE_MAX: usize = 256 << 20;
/// So many records are read from a store at once: a value may be large.
const PAGE: usize = 64;
/// What is written or read at once, in bytes.
const BUFFER: usize = 256 << 10;

/// What is told of a store beside its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The last commit that the records show: later ones in a new store are higher, as keys are made of them.
    pub revision: Revision,
    /// No commit in it bore a later moment, in nanoseconds since 1970.
    pub moment: Option<u64>,
}

/// A record, and where it lies.
pub type Exported = (Space, Vec<u8>, Vec<u8>);

/// A store that was not exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The store.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Where the stream goes.
    #[error("the export cannot be written: {0}")]
    Write(#[from] io::Error),
}

/// A stream that cannot be taken for a store.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Where it comes from.
    #[error("the export cannot be read: {0}")]
    Read(io::Error),
    /// It is something else.
    #[error("it is no export of okmsd: give what `okmsd store export` has written")]
    NoExport,
    /// Another version wrote it.
    #[error(
        "the export has records of layout {0}, and this program knows {LAYOUT}: import it by the version that wrote it, and let the newer one \
         open that store"
    )]
    Layout(u32),
    /// It has records of which this program knows nothing.
    #[error("the export has records `{0}`, which only a newer okmsd knows: import it by that one")]
    Space(String),
    /// It is not of the store that it should be of ([`Import::of`]).
    #[error("the export is of another store")]
    Another,
    /// It does not end as it should.
    #[error("the export is cut off or damaged: export anew, or fetch it again")]
    Damaged,
}

impl From<io::Error> for ImportError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::Damaged } else { Self::Read(error) }
    }
}

/// Writes all records of a store at this moment, and gives their number. `present` is a moment after all commits.
///
/// # Errors
/// What the store says, or where it is written to; what was written is then refused by whoever reads it.
pub async fn export(
    engine: &dyn Engine,
    spaces: &[Space],
    present: Option<u64>,
    to: impl Write + Send,
) -> Result<u64, ExportError> {
    let view = engine.snapshot().await?;
    let moment = present.max(engine.latest());
    let mut out = Hashing::new(BufWriter::with_capacity(BUFFER, to));
    out.put(MAGIC)?;
    out.put(&LAYOUT.to_be_bytes())?;
    out.put(&view.revision().0.to_be_bytes())?;
    out.put(&moment.unwrap_or(0).to_be_bytes())?;
    let mut count = 0_u64;
    for space in spaces {
        let name = space.name().as_bytes();
        out.put(&[SPACE, u8::try_from(name.len()).map_err(io::Error::other)?])?;
        out.put(name)?;
        let (mut from, to) = (Vec::new(), [0xff; 64]);
        loop {
            let page = view.scan(*space, &from, &to, PAGE).await?;
            let Some((last, _)) = page.last() else { break };
            from = [&**last, &[0]].concat();
            for (key, record) in &page {
                out.put(&[RECORD])?;
                for bytes in [&**key, &record.bytes] {
                    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
                    out.put(&length.to_be_bytes())?;
                }
                out.put(key)?;
                out.put(&record.bytes)?;
                count += 1;
            }
        }
    }
    out.put(&[END])?;
    out.put(&count.to_be_bytes())?;
    let hash = out.hash.finish_128();
    out.inner.write_all(&hash.to_be_bytes())?;
    out.inner.flush()?;
    Ok(count)
}

/// The records of a stream, each as it is read; an error is the last that comes. Nobody has all before there are no
/// more.
pub struct Import<'a> {
    from: Hashing<BufReader<Box<dyn Read + Send + 'a>>>,
    origin: Origin,
    spaces: &'a [Space],
    space: Option<Space>,
    mark: Option<Exported>,
    count: u64,
    is_over: bool,
}

impl<'a> Import<'a> {
    /// Reads the head of a stream that has these spaces.
    ///
    /// # Errors
    /// Whatever is no export, or not one of this version.
    pub fn open(from: impl Read + Send + 'a, spaces: &'a [Space]) -> Result<Self, ImportError> {
        let from: Box<dyn Read + Send> = Box::new(from);
        let mut from = Hashing::new(BufReader::with_capacity(BUFFER, from));
        match from.array() {
            Ok(magic) if magic == *MAGIC => {}
            Err(ImportError::Read(error)) => return Err(ImportError::Read(error)),
            _ => return Err(ImportError::NoExport),
        }
        let layout = u32::from_be_bytes(from.array()?);
        if layout != LAYOUT {
            return Err(ImportError::Layout(layout));
        }
        let revision = Revision(u64::from_be_bytes(from.array()?));
        let moment = u64::from_be_bytes(from.array()?);
        let origin = Origin { revision, moment: Some(moment).filter(|moment| *moment > 0) };
        Ok(Self { from, origin, spaces, space: None, mark: None, count: 0, is_over: false })
    }

    /// Takes it only if what it has under this key, if anything, is that.
    #[must_use]
    pub fn of(self, mark: Exported) -> Self {
        Self { mark: Some(mark), ..self }
    }

    /// Of which store it is.
    #[must_use]
    pub const fn origin(&self) -> Origin {
        self.origin
    }

    fn read(&mut self) -> Result<Option<Exported>, ImportError> {
        loop {
            let [tag] = self.from.array()?;
            match (tag, self.space) {
                (SPACE, _) => {
                    let [length] = self.from.array()?;
                    let name = String::from_utf8(self.from.bytes(length.into())?);
                    let name = name.map_err(|_| ImportError::Damaged)?;
                    let known = self.spaces.iter().find(|space| space.name() == name);
                    self.space = Some(*known.ok_or(ImportError::Space(name))?);
                }
                (RECORD, Some(space)) => {
                    let [key, value] =
                        [self.from.array()?, self.from.array()?].map(u32::from_be_bytes);
                    let [key, value] = [key, value].map(|length| length as usize);
                    if key > KEY_MAX || value > VALUE_MAX {
                        return Err(ImportError::Damaged);
                    }
                    self.count += 1;
                    let found = (space, self.from.bytes(key)?, self.from.bytes(value)?);
                    let differs = |mark: &Exported| {
                        (&mark.0, &mark.1) == (&found.0, &found.1) && mark.2 != found.2
                    };
                    if self.mark.as_ref().is_some_and(differs) {
                        return Err(ImportError::Another);
                    }
                    return Ok(Some(found));
                }
                (END, _) => return self.end().map(|()| None),
                _ => return Err(ImportError::Damaged),
            }
        }
    }

    fn end(&mut self) -> Result<(), ImportError> {
        let count = u64::from_be_bytes(self.from.array()?);
        let hash = self.from.hash.finish_128();
        let told = u128::from_be_bytes(self.from.array()?);
        let is_last = self.from.inner.fill_buf().map_err(ImportError::Read)?.is_empty();
        if (count, hash) == (self.count, told) && is_last {
            Ok(())
        } else {
            Err(ImportError::Damaged)
        }
    }
}

impl Iterator for Import<'_> {
    type Item = Result<Exported, ImportError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let read = self.read().transpose();
        self.is_over = !matches!(read, Some(Ok(_)));
        read
    }
}

/// Hashes what goes through it.
struct Hashing<T> {
    inner: T,
    hash: XxHash3_128,
}

impl<T> Hashing<T> {
    fn new(inner: T) -> Self {
        Self { inner, hash: XxHash3_128::new() }
    }
}

impl<T: Write> Hashing<T> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.write(bytes);
        self.inner.write_all(bytes)
    }
}

impl<T: Read> Hashing<T> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], ImportError> {
        let mut bytes = [0; N];
        self.inner.read_exact(&mut bytes)?;
        self.hash.write(&bytes);
        Ok(bytes)
    }

    /// So many bytes. Takes memory for those alone that come.
    fn bytes(&mut self, length: usize) -> Result<Vec<u8>, ImportError> {
        let mut bytes = Vec::with_capacity(length.min(BUFFER));
        let most = u64::try_from(length).map_err(|_| ImportError::Damaged)?;
        if (&mut self.inner).take(most).read_to_end(&mut bytes)? < length {
            return Err(ImportError::Damaged);
        }
        self.hash.write(&bytes);
        Ok(bytes)
    }
}
