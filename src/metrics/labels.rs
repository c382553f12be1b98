//! Counters by labels of closed sets.
//!
//! Always holds: after the first event of a kind, counting one is an index and an addition: nothing
//! is searched for by its text, nothing is locked.

use std::{marker::PhantomData, sync::OnceLock};

use prometheus::{Error, IntCounter, IntCounterVec, Opts, Registry};

use super::registry::register;

/// A closed set of labels.
pub trait Label: Copy {
    /// How many there are.
    const COUNT: usize;

    /// Its place among them.
    fn index(self) -> usize;

    /// Its text.
    fn text(self) -> &'static str;
}

/// An enum of labels, each with its text.
macro_rules! labels {
    ($(#[$meta:meta])* $visible:vis enum $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $visible enum $name {
            $($(#[$doc])* $variant,)*
        }

        impl $name {
            /// Its text in metrics and logs.
            #[must_use]
            $visible const fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl $crate::metrics::labels::Label for $name {
            const COUNT: usize = [$($text),*].len();

            fn index(self) -> usize {
                self as usize
            }

            fn text(self) -> &'static str {
                self.label()
            }
        }
    };
}

pub(super) use labels;

/// A counter for each label of a set. Each comes into being with the first event that it counts,
/// so that what never happened is not listed.
pub struct Counters<L> {
    family: IntCounterVec,
    /// The label before theirs, where there is one.
    of: Option<&'static str>,
    by_label: Box<[OnceLock<IntCounter>]>,
    labels: PhantomData<fn(L)>,
}

impl<L: Label> Counters<L> {
    /// Counters with this label alone.
    pub(super) fn register(
        registry: &Registry,
        (name, help): (&str, &str),
        label: &str,
    ) -> Result<Self, Error> {
        Ok(Self::new(
            register(registry, IntCounterVec::new(Opts::new(name, help), &[label])?)?,
            None,
        ))
    }

    /// Those of `family`, in which `of` is the label before theirs.
    pub(super) fn new(family: IntCounterVec, of: Option<&'static str>) -> Self {
        let by_label = (0..L::COUNT).map(|_| OnceLock::new()).collect();
        Self { family, of, by_label, labels: PhantomData }
    }

    /// Counts an event.
    pub fn count(&self, label: L) {
        let find = || match self.of {
            Some(of) => self.family.with_label_values(&[of, label.text()]),
            None => self.family.with_label_values(&[label.text()]),
        };
        if let Some(counter) = self.by_label.get(label.index()) {
            counter.get_or_init(find).inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus::core::Collector;

    use super::*;

    labels! {
        /// Fruit.
        enum Fruit {
            /// Red.
            Apple = "apple",
            /// Blue.
            Plum = "plum",
        }
    }

    /// Each commit and each handshake once searched for its counter by the label's text. Here it
    /// would be found anew after the family has forgotten it.
    #[test]
    fn counters_are_found_once() {
        let family = IntCounterVec::new(Opts::new("eaten", "x"), &["who", "what"]).unwrap();
        let (ann, ben) = (
            Counters::<Fruit>::new(family.clone(), Some("ann")),
            Counters::<Fruit>::new(family.clone(), Some("ben")),
        );
        for (who, what) in [(&ann, Fruit::Plum), (&ann, Fruit::Plum), (&ben, Fruit::Apple)] {
            who.count(what);
        }
        assert_eq!(family.with_label_values(&["ann", "plum"]).get(), 2);
        assert_eq!(family.with_label_values(&["ben", "apple"]).get(), 1);
        let listed = |family: &IntCounterVec| {
            family.collect().iter().map(|one| one.get_metric().len()).sum::<usize>()
        };
        assert_eq!(listed(&family), 2, "what never happened is not listed");
        family.reset();
        ann.count(Fruit::Plum);
        assert_eq!(listed(&family), 0, "it is not searched for again");
    }
}
