//! The latest frames of a topic: new ones push the oldest out, whoever has not seen them yet.

use std::collections::VecDeque;

use axum::extract::ws::Utf8Bytes;

/// Frames in order, numbered from 0 and bounded in bytes.
pub(crate) struct Ring {
    frames: VecDeque<Utf8Bytes>,
    bytes: usize,
    limit: usize,
    /// Number of the next frame.
    next: u64,
}

/// What a viewer has not seen yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// Frames that were pushed out before the viewer came for them.
    pub(crate) dropped: u64,
    pub(crate) frames: Vec<Utf8Bytes>,
}

impl Ring {
    /// Holds frames of `limit` bytes in all, or one that is larger.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            frames: VecDeque::new(),
            bytes: 0,
            limit,
            next: 0,
        }
    }

    /// Number of the next frame.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    pub(crate) fn push(&mut self, frame: Utf8Bytes) {
        self.bytes += frame.len();
        self.frames.push_back(frame);
        self.next += 1;
        while self.bytes > self.limit && self.frames.len() > 1 {
            if let Some(oldest) = self.frames.pop_front() {
                self.bytes -= oldest.len();
            }
        }
    }

    /// Up to `most` frames from number `at` on; moves `at` past them.
    pub(crate) fn read(&self, at: &mut u64, most: usize) -> News {
        let oldest = self.next - self.frames.len() as u64;
        let dropped = oldest.saturating_sub(*at);
        *at += dropped;
        // At most the number of frames held.
        let skip = usize::try_from(*at - oldest).unwrap_or(usize::MAX);
        let frames: Vec<_> = self.frames.iter().skip(skip).take(most).cloned().collect();
        *at += frames.len() as u64;
        News { dropped, frames }
    }

    /// Lets go of all frames: nobody is there to see them.
    pub(crate) fn clear(&mut self) {
        self.frames.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(limit: usize, frames: &[&'static str]) -> Ring {
        let mut ring = Ring::new(limit);
        for frame in frames {
            ring.push(Utf8Bytes::from_static(frame));
        }
        ring
    }

    #[test]
    fn a_viewer_that_keeps_up_sees_everything() {
        let mut ring = ring(4, &["aa"]);
        let mut at = 0;
        assert_eq!(ring.read(&mut at, 9).frames, ["aa"]);
        ring.push("bb".into());
        ring.push("cc".into());
        let news = ring.read(&mut at, 9);
        assert_eq!((news.dropped, news.frames.len()), (0, 2));
        assert_eq!(ring.read(&mut at, 9), News::default());
    }

    #[test]
    fn a_slow_viewer_is_told_how_many_frames_it_lost() {
        let ring = ring(4, &["aa", "bb", "cc", "dd"]);
        let mut at = 1;
        let news = ring.read(&mut at, 1);
        assert_eq!((news.dropped, &news.frames[..]), (1, &["cc".into()][..]));
        let news = ring.read(&mut at, 1);
        assert_eq!((news.dropped, &news.frames[..]), (0, &["dd".into()][..]));
    }

    #[test]
    fn a_frame_larger_than_the_limit_is_held_alone() {
        let ring = ring(4, &["aa", "larger than four bytes"]);
        let mut at = 0;
        let news = ring.read(&mut at, 9);
        assert_eq!((news.dropped, news.frames.len()), (1, 1));
    }

    #[test]
    fn frames_that_were_let_go_are_not_read_again() {
        let mut ring = ring(4, &["aa"]);
        ring.clear();
        let mut at = ring.next();
        ring.push("bb".into());
        assert_eq!(ring.read(&mut at, 9).frames, ["bb"]);
    }
}
