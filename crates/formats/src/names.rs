//! The names of one object, or the keys of one map, to see whether one comes again.

use std::borrow::Cow;
use std::collections::HashSet;

use smallvec::SmallVec;

/// Names that are compared one by one; a set takes over beyond.
const FEW: usize = 16;

/// The names so far.
#[derive(Default)]
pub(crate) struct Names<'a> {
    few: SmallVec<[Cow<'a, [u8]>; FEW]>,
    many: HashSet<Cow<'a, [u8]>>,
}

impl<'a> Names<'a> {
    /// `false` if the name is known.
    pub(crate) fn insert(&mut self, name: Cow<'a, [u8]>) -> bool {
        if !self.many.is_empty() {
            return self.many.insert(name);
        }
        if self.few.contains(&name) {
            return false;
        }
        if self.few.len() == FEW {
            self.many.extend(self.few.drain(..));
            return self.many.insert(name);
        }
        self.few.push(name);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_known_however_many_there_are() {
        let mut names = Names::default();
        let name = |number: usize| Cow::Owned(number.to_string().into_bytes());
        for number in 0..3 * FEW {
            assert!(names.insert(name(number)), "{number}");
            for known in [0, number / 2, number] {
                assert!(!names.insert(name(known)), "{known} of {number}");
            }
        }
    }
}
