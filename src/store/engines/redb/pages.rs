//! What the pages of the file must hold.
//!
//! redb keeps a checksum of every page in the page above it, and compares them in a repair only.
//! [`Pages`] compares them whenever a page is read: it takes the checksums of the roots from the
//! header, those of other pages from the page above, which is always read before, and those of
//! pages that were written since from what was written. So neither a read nor a write ever follows
//! a page that is damaged: a flipped bit in a page's number would lead a write to a page of
//! somebody else's, and free it.
//!
//! Owns the knowledge of redb's file format 3 (`docs/design.md` in its repository). Always holds:
//! what is known of a page is of its last writing; a page of which nothing is known is taken for
//! sound. Costs 16 bytes of memory for each page that was read or written, 4 MiB for each GiB of
//! the file. Never does: I/O.

use std::sync::{PoisonError, RwLock};

use twox_hash::XxHash3_128;

/// The first page of the file. The header is in it, and nothing else.
pub(super) const HEAD: usize = 4096;
const PAGE: u64 = HEAD as u64;
const PAGES_PER_CHUNK: usize = 1024;
const LEAF: u8 = 1;
const BRANCH: u8 = 2;
/// A table with one value for each key. redb's other kind is not used here.
const NORMAL_TABLE: u8 = 3;
const MAGIC: &[u8] = b"redb\x1a\x0a\xa9\x0d\x0a";
const TWO_PHASE_COMMIT: u8 = 4;
/// The place of the tables of tables in [`State::shapes`].
const TABLES: u8 = 0;

/// What is known of the pages of one file.
#[derive(Default)]
pub(super) struct Pages(RwLock<State>);

struct State {
    geometry: Geometry,
    /// By the number of the page, counted from the start of the file.
    chunks: Vec<Option<Box<[Known]>>>,
    /// The first one is that of the tables of tables, and theirs alone.
    shapes: Vec<Shape>,
}

impl Default for State {
    fn default() -> Self {
        let shapes = vec![Shape { key: None, value: None }];
        Self { geometry: Geometry::default(), chunks: Vec::new(), shapes }
    }
}

/// How the file is cut into pages.
#[derive(Clone, Copy, Default)]
struct Geometry {
    region_header_pages: u64,
    region_pages: u64,
}

/// What is known of one page, which may be as long as several.
#[derive(Clone, Copy, Default)]
struct Known {
    /// Half of a checksum.
    sum: u64,
    /// 1 and the logarithm of its length in pages; 0 where nothing is known.
    length: u8,
    /// What the checksum is of.
    of: Of,
}

#[derive(Clone, Copy, Default)]
enum Of {
    /// All its bytes.
    #[default]
    Whole,
    /// The bytes in use, in a tree of this shape.
    Tree(u8),
}

/// The widths of a tree's keys and values, where they have fixed ones.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Shape {
    key: Option<usize>,
    value: Option<usize>,
}

/// A page that another one names.
struct Child {
    number: u64,
    sum: u64,
    shape: u8,
}

impl Pages {
    /// Learns the roots from a header, as it was found.
    pub(super) fn learn(&self, header: &[u8]) {
        self.change(|state| state.learn(header));
    }

    /// A page is about to be written: what was known of that part of the file counts no more.
    pub(super) fn forget(&self, offset: u64, length: usize) {
        self.change(|state| {
            for page in offset / PAGE..(offset + length as u64).div_ceil(PAGE) {
                state.set(page, Known::default());
            }
        });
    }

    /// A page was written.
    pub(super) fn note_write(&self, offset: u64, data: &[u8]) {
        let (page, length) = (offset / PAGE, length_of(data.len()));
        if page > 0 && offset.is_multiple_of(PAGE) && length > 0 {
            let known = Known { sum: sum(data), length, of: Of::Whole };
            self.change(|state| state.set(page, known));
        }
    }

    /// Whether a page that was read is what was written; what it says of other pages is learned.
    pub(super) fn check(&self, offset: u64, data: &[u8]) -> bool {
        let Some(known) = self.lookup(offset, data.len()) else { return true };
        let Of::Tree(shape) = known.of else { return sum(data) == known.sum };
        let Some(widths) = self.look(|state| state.shapes.get(usize::from(shape)).copied()) else {
            return true;
        };
        let page = TreePage { data, widths };
        if page.used().and_then(|used| data.get(..used)).is_none_or(|used| sum(used) != known.sum) {
            return false;
        }
        self.change(|state| state.learn_children(&page, shape));
        true
    }

    /// Whether anything is known of a page, so that [`Pages::check`] can tell.
    #[cfg(test)]
    pub(super) fn is_known(&self, offset: u64, length: usize) -> bool {
        self.lookup(offset, length).is_some()
    }

    fn lookup(&self, offset: u64, length: usize) -> Option<Known> {
        let known = self.look(|state| state.get(offset / PAGE));
        (offset.is_multiple_of(PAGE) && known.length > 0 && known.length == length_of(length))
            .then_some(known)
    }

    fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl State {
    fn learn(&mut self, header: &[u8]) {
        let number = |at| u32_at(header, at).map(u64::from);
        let (Some(region_header_pages), Some(region_pages), Some(flags)) =
            (number(16), number(20), header.get(9))
        else {
            return;
        };
        // After another kind of commit redb itself finds out by the checksums which of the two
        // slots is whole.
        if !header.starts_with(MAGIC) || number(12) != Some(PAGE) || flags & TWO_PHASE_COMMIT == 0 {
            return;
        }
        self.geometry = Geometry { region_header_pages, region_pages };
        let primary = if flags & 1 == 0 { 64 } else { 192 };
        for (present, root) in [(1, 8), (2, 40)] {
            if header.get(primary + present).is_some_and(|present| *present != 0)
                && let (Some(number), Some(sum)) =
                    (u64_at(header, primary + root), u64_at(header, primary + root + 8))
            {
                self.expect(&Child { number, sum, shape: TABLES });
            }
        }
    }

    fn learn_children(&mut self, page: &TreePage<'_>, shape: u8) {
        if page.kind() == BRANCH {
            for (number, sum) in page.children() {
                self.expect(&Child { number, sum, shape });
            }
        } else if shape == TABLES {
            for definition in page.values() {
                if let Some((number, sum, widths)) = table(definition)
                    && let Some(shape) = self.shape(widths)
                {
                    self.expect(&Child { number, sum, shape });
                }
            }
        }
    }

    /// The place of a table's shape; none where there are too many.
    fn shape(&mut self, shape: Shape) -> Option<u8> {
        let known =
            self.shapes.iter().skip(1).position(|known| *known == shape).map(|place| place + 1);
        let place = known.unwrap_or(self.shapes.len());
        let found = u8::try_from(place).ok()?;
        if known.is_none() {
            self.shapes.push(shape);
        }
        Some(found)
    }

    /// Takes a checksum from the page above. What is known already is as good, or newer.
    fn expect(&mut self, child: &Child) {
        let order = child.number >> 59;
        let index = child.number
            & (0xf_ffff_u64.checked_shr(u32::try_from(order).unwrap_or(u32::MAX)).unwrap_or(0));
        let region = (child.number >> 20) & 0xf_ffff;
        let Geometry { region_header_pages, region_pages } = self.geometry;
        let page = 1
            + region * (region_header_pages + region_pages)
            + region_header_pages
            + (index << order);
        let length = u8::try_from(order + 1).unwrap_or_default();
        if self.get(page).length == 0 {
            self.set(page, Known { sum: child.sum, length, of: Of::Tree(child.shape) });
        }
    }

    fn get(&self, page: u64) -> Known {
        let (chunk, place) = place(page);
        let chunk = self.chunks.get(chunk).and_then(Option::as_ref);
        chunk.and_then(|chunk| chunk.get(place)).copied().unwrap_or_default()
    }

    fn set(&mut self, page: u64, known: Known) {
        let (chunk, place) = place(page);
        if chunk >= self.chunks.len() {
            self.chunks.resize_with(chunk + 1, || None);
        }
        if let Some(chunk) = self.chunks.get_mut(chunk) {
            let chunk = chunk
                .get_or_insert_with(|| vec![Known::default(); PAGES_PER_CHUNK].into_boxed_slice());
            if let Some(old) = chunk.get_mut(place) {
                *old = known;
            }
        }
    }
}

fn place(page: u64) -> (usize, usize) {
    // A page number has at most 40 bits.
    let page = usize::try_from(page & 0xff_ffff_ffff).unwrap_or_default();
    (page / PAGES_PER_CHUNK, page % PAGES_PER_CHUNK)
}

/// 1 and the logarithm of a length in pages; 0 for a length that no page has.
fn length_of(bytes: usize) -> u8 {
    let pages = bytes / HEAD;
    let whole = bytes.is_multiple_of(HEAD) && pages.is_power_of_two();
    if whole { u8::try_from(pages.trailing_zeros() + 1).unwrap_or_default() } else { 0 }
}

#[expect(clippy::cast_possible_truncation, reason = "half of it is enough")]
fn sum(data: &[u8]) -> u64 {
    XxHash3_128::oneshot(data) as u64
}

/// The root of a table, its checksum and its widths, as a table of tables has them.
fn table(definition: &[u8]) -> Option<(u64, u64, Shape)> {
    let width = |at: usize| match definition.get(at)? {
        0 => Some(None),
        _ => Some(Some(usize::try_from(u32_at(definition, at + 1)?).ok()?)),
    };
    if *definition.first()? != NORMAL_TABLE || *definition.get(9)? == 0 {
        return None;
    }
    Some((
        u64_at(definition, 10)?,
        u64_at(definition, 18)?,
        Shape { key: width(42)?, value: width(47)? },
    ))
}

/// A page of a tree, which may be damaged.
struct TreePage<'a> {
    data: &'a [u8],
    widths: Shape,
}

impl TreePage<'_> {
    fn kind(&self) -> u8 {
        self.data.first().copied().unwrap_or_default()
    }

    /// The keys of a branch, or the pairs of a leaf.
    fn count(&self) -> usize {
        self.data
            .get(2..4)
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(0, u16::from_le_bytes)
            .into()
    }

    /// How many bytes are in use.
    fn used(&self) -> Option<usize> {
        let last = self.count().checked_sub(1)?;
        match self.kind() {
            LEAF => self.value_end(last),
            BRANCH => {
                let keys = self.branch_keys();
                match self.widths.key {
                    Some(width) => Some(keys + width * (last + 1)),
                    None => self.offset_at(keys + 4 * last),
                }
            }
            _ => None,
        }
    }

    fn key_end(&self, last: usize) -> Option<usize> {
        match self.widths.key {
            Some(width) => {
                let ends = if self.widths.value.is_none() { 4 * self.count() } else { 0 };
                Some(4 + ends + width * (last + 1))
            }
            None => self.offset_at(4 + 4 * last),
        }
    }

    fn value_end(&self, nth: usize) -> Option<usize> {
        if let Some(width) = self.widths.value {
            return Some(self.key_end(self.count().checked_sub(1)?)? + width * (nth + 1));
        }
        let key_ends = if self.widths.key.is_none() { 4 * self.count() } else { 0 };
        self.offset_at(4 + key_ends + 4 * nth)
    }

    /// The values of a leaf.
    fn values(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.count()).filter_map(|nth| {
            let start = match nth.checked_sub(1) {
                None => self.key_end(self.count().checked_sub(1)?),
                Some(before) => self.value_end(before),
            };
            self.data.get(start?..self.value_end(nth)?)
        })
    }

    /// The children of a branch, and their checksums.
    fn children(&self) -> impl Iterator<Item = (u64, u64)> {
        let count = self.count() + 1;
        (0..count).filter_map(move |nth| {
            Some((u64_at(self.data, 8 + 16 * count + 8 * nth)?, u64_at(self.data, 8 + 16 * nth)?))
        })
    }

    /// Where the keys of a branch, or the ends of its keys, begin.
    fn branch_keys(&self) -> usize {
        8 + 24 * (self.count() + 1)
    }

    fn offset_at(&self, at: usize) -> Option<usize> {
        usize::try_from(u32_at(self.data, at)?).ok()
    }
}

fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

fn u64_at(data: &[u8], at: usize) -> Option<u64> {
    data.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}
