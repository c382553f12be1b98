//! The numbers that stand for spaces in the database.

use std::collections::HashMap;

use crate::store::{engine::Space, kinds};

/// Each space that this program knows, and its number.
pub(super) struct Spaces {
    by_space: HashMap<Space, i16>,
    by_number: HashMap<i16, Space>,
}

impl Spaces {
    /// Of the numbers and names that the database has; says the name of a space that it has not.
    pub(super) fn of(rows: impl IntoIterator<Item = (i16, String)>) -> Result<Self, &'static str> {
        let by_name: HashMap<_, _> =
            rows.into_iter().map(|(number, name)| (name, number)).collect();
        let found = kinds::SPACES.iter().map(|space| match by_name.get(space.name()) {
            Some(number) => Ok((*space, *number)),
            None => Err(space.name()),
        });
        let by_space: HashMap<_, _> = found.collect::<Result<_, _>>()?;
        let by_number = by_space.iter().map(|(space, number)| (*number, *space)).collect();
        Ok(Self { by_space, by_number })
    }

    /// The number of a space; 0, which is nobody's, of one that is not among [`kinds::SPACES`].
    pub(super) fn number(&self, space: Space) -> i16 {
        self.by_space.get(&space).copied().unwrap_or(0)
    }

    /// The space of a number.
    pub(super) fn space(&self, number: i16) -> Option<Space> {
        self.by_number.get(&number).copied()
    }
}
