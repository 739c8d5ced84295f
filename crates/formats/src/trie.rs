//! A set of paths as a tree of segments, so that one walk serves them all.

use smallvec::SmallVec;

use crate::path::FieldPath;

/// Index of a node; the event itself is [`ROOT`].
pub(crate) type TrieId = u32;

/// The event itself.
pub(crate) const ROOT: TrieId = 0;

#[derive(Debug, Default)]
pub(crate) struct Trie {
    nodes: Vec<TrieNode>,
}

#[derive(Debug, Default)]
pub(crate) struct TrieNode {
    /// Indices of the paths that end here.
    pub(crate) paths: SmallVec<[u32; 2]>,
    /// What lies below, by name.
    pub(crate) children: Vec<(Box<str>, TrieId)>,
}

impl Trie {
    pub(crate) fn new(paths: &[FieldPath]) -> Self {
        let mut trie = Self {
            nodes: vec![TrieNode::default()],
        };
        for (index, path) in paths.iter().enumerate() {
            let mut at = ROOT;
            for segment in path.segments() {
                at = match trie.child(at, segment) {
                    Some(child) => child,
                    None => {
                        let child = trie.nodes.len() as TrieId;
                        trie.nodes.push(TrieNode::default());
                        trie.nodes[at as usize]
                            .children
                            .push((segment.into(), child));
                        child
                    }
                };
            }
            trie.nodes[at as usize].paths.push(index as u32);
        }
        trie
    }

    pub(crate) fn node(&self, id: TrieId) -> &TrieNode {
        &self.nodes[id as usize]
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn child(&self, id: TrieId, segment: &str) -> Option<TrieId> {
        self.node(id)
            .children
            .iter()
            .find(|(name, _)| &**name == segment)
            .map(|(_, id)| *id)
    }
}

/// Names that look like the one that was asked for, best first.
pub(crate) fn near<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut scored: Vec<(f64, &str)> = names
        .map(|name| {
            (
                strsim::jaro_winkler(&wanted.to_lowercase(), &name.to_lowercase()),
                name,
            )
        })
        .filter(|(score, _)| *score >= 0.8)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored.dedup_by(|a, b| a.1 == b.1);
    scored
        .into_iter()
        .take(3)
        .map(|(_, name)| name.to_owned())
        .collect()
}
