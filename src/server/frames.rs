//! How much of what an HTTP/2 peer sends is work, and how much only keeps us busy.
//!
//! Owns the count of a connection's frames. Always holds: each frame that brings no request and no
//! body to speak of costs of a budget, by its length; requests, and what we send ourselves, give
//! some back, and so does time. An honest client never comes near the end of it: it acknowledges
//! and opens windows for what it was sent. Small pieces of a body are taken at a pace instead, as
//! some clients send no others. Never does: judging what is in a frame; that is the HTTP library's
//! business.

use std::time::Duration;

/// What a connection begins with, and the most that it can save up.
const BUDGET: u32 = 2000;
/// What a second gives back.
const A_SECOND: u32 = 200;
/// What a request gives back: its cancellation, and the windows that its answer needs.
const A_REQUEST: u32 = 16;
/// So many bytes that we send give one back: a peer may open the window of the stream and of the
/// connection for each two KiB that it takes.
const SENT_BYTES: u32 = 1 << 10;
/// Pieces of a body below this size are crumbs. Empty ones bring nothing.
const PIECE: u32 = 512;
/// So many crumbs are taken at once; then there is a pause of so long for each.
const CRUMBS: u32 = 256;
const CRUMB_TIME: Duration = Duration::from_micros(80);
/// Any other frame costs one, and one more for so many bytes: SETTINGS hold thousands of entries.
const COST_BYTES: u32 = 64;

const PREFACE: u32 = 24;
const HEAD: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const END_STREAM: u8 = 1;

/// The frames of one connection, as they come in.
pub(super) struct Frames {
    /// What is left to pass over: the preface, then the rest of the frame.
    skip: u32,
    /// The head of the next frame, as far as it is there.
    head: [u8; HEAD],
    present: usize,
    left: u32,
    crumbs: u32,
    sent: u32,
    /// When the budget was last added to by time.
    filled_at: Duration,
}

impl Frames {
    /// A connection that begins.
    pub(super) const fn new() -> Self {
        Self {
            skip: PREFACE,
            head: [0; HEAD],
            present: 0,
            left: BUDGET,
            crumbs: 0,
            sent: 0,
            filled_at: Duration::ZERO,
        }
    }

    /// Takes in what was received, at a time since the connection's begin; says whether the budget
    /// lasts.
    pub(super) fn receive(&mut self, mut bytes: &[u8], at: Duration) -> bool {
        while !bytes.is_empty() {
            let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
            self.skip -= u32::try_from(skipped).unwrap_or(self.skip);
            bytes = bytes.get(skipped..).unwrap_or_default();
            let Some(missing) = self.head.get_mut(self.present..) else { return true };
            let taken = missing.len().min(bytes.len());
            let (front, rest) = bytes.split_at(taken);
            missing.iter_mut().zip(front).for_each(|(to, from)| *to = *from);
            self.present += taken;
            bytes = rest;
            if self.present == HEAD {
                self.present = 0;
                let [a, b, c, kind, flags, ..] = self.head;
                self.skip = u32::from_be_bytes([0, a, b, c]);
                if !self.pays(kind, flags, at) {
                    return false;
                }
            }
        }
        true
    }

    /// How long to wait before more is received.
    pub(super) fn pause(&mut self) -> Option<Duration> {
        let crumbs = self.crumbs;
        (crumbs >= CRUMBS).then(|| {
            self.crumbs = 0;
            CRUMB_TIME * crumbs
        })
    }

    /// Takes note of what was sent.
    pub(super) fn send(&mut self, bytes: usize) {
        let sent = self.sent.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        self.give_back(sent / SENT_BYTES);
        self.sent = sent % SENT_BYTES;
    }

    fn pays(&mut self, kind: u8, flags: u8, at: Duration) -> bool {
        match kind {
            HEADERS => self.give_back(A_REQUEST),
            DATA if self.skip >= PIECE || flags & END_STREAM != 0 => {}
            DATA if self.skip > 0 => self.crumbs = self.crumbs.saturating_add(1),
            _ => {
                let cost = 1 + self.skip / COST_BYTES;
                if self.left < cost {
                    let since = at.saturating_sub(self.filled_at).as_millis();
                    let earned =
                        u32::try_from(since * u128::from(A_SECOND) / 1000).unwrap_or(BUDGET);
                    self.filled_at = at;
                    self.give_back(earned);
                }
                let Some(left) = self.left.checked_sub(cost) else { return false };
                self.left = left;
            }
        }
        true
    }

    fn give_back(&mut self, number: u32) {
        self.left = self.left.saturating_add(number).min(BUDGET);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: u32) -> Vec<u8> {
        let head = [&length.to_be_bytes()[1..], &[kind, flags, 0, 0, 0, 1]].concat();
        [head, vec![7; length as usize]].concat()
    }

    fn begin() -> Frames {
        let mut frames = Frames::new();
        assert!(frames.receive(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Duration::ZERO));
        frames
    }

    /// How many frames of a kind are taken in a moment.
    fn count_taken(frames: &mut Frames, frame: &[u8], at: Duration) -> u32 {
        (0..).take_while(|_| frames.receive(frame, at)).take(100_000).count().try_into().unwrap()
    }

    /// One connection without a certificate once took a whole core with frames that ask for
    /// nothing.
    #[test]
    fn frames_that_bring_nothing_run_out() {
        // PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION, unknown, and
        // DATA with nothing in it.
        for (kind, length) in
            [(2, 5), (3, 4), (4, 0), (6, 8), (7, 8), (8, 4), (9, 1), (200, 0), (0, 0)]
        {
            assert_eq!(
                count_taken(&mut begin(), &frame(kind, 0, length), Duration::ZERO),
                BUDGET,
                "kind {kind}"
            );
        }
        assert_eq!(count_taken(&mut begin(), &frame(4, 0, 16_380), Duration::ZERO), BUDGET / 256);
    }

    /// A client that sent its body in pieces of 200 bytes was cut after 100 KB, without an answer.
    #[test]
    fn crumbs_take_their_time() {
        let mut frames = begin();
        let mut paused = Duration::ZERO;
        for _ in 0..100_000 {
            assert!(frames.receive(&frame(DATA, 0, 3), Duration::ZERO));
            paused += frames.pause().unwrap_or_default();
        }
        assert!((7..9).contains(&paused.as_secs()), "{paused:?}");
        // Many in one go, and larger pieces.
        assert!(frames.receive(&frame(DATA, 0, 3).repeat(1000), Duration::ZERO));
        assert!(
            frames.pause().is_some_and(|pause| pause >= CRUMB_TIME * 1000)
                && frames.pause().is_none()
        );
        assert!(
            frames.receive(&frame(DATA, 0, PIECE).repeat(1000), Duration::ZERO)
                && frames.pause().is_none()
        );
    }

    #[test]
    fn work_does_not_run_out() {
        for (kind, flags, length) in [(HEADERS, 5, 30), (DATA, 0, 512), (DATA, 1, 2)] {
            assert_eq!(
                count_taken(&mut begin(), &frame(kind, flags, length), Duration::ZERO),
                100_000
            );
        }
        // A request with its two windows and a ping each, as often as one likes.
        let mut frames = begin();
        let request =
            [frame(HEADERS, 5, 30), frame(8, 0, 4), frame(8, 0, 4), frame(6, 0, 8)].concat();
        assert_eq!(count_taken(&mut frames, &request, Duration::ZERO), 100_000);
        // A long answer, the windows of which are opened after every frame of it.
        let mut frames = begin();
        for _ in 0..10_000 {
            frames.send(16 << 10);
            assert!(frames.receive(&[frame(8, 0, 4), frame(8, 0, 4)].concat(), Duration::ZERO));
        }
    }

    #[test]
    fn time_gives_back() {
        let mut frames = begin();
        // Without a payload, of which a part would be left over when nothing more is taken.
        let settings = frame(4, 1, 0);
        count_taken(&mut frames, &settings, Duration::ZERO);
        assert_eq!(count_taken(&mut frames, &settings, Duration::from_secs(3)), 3 * A_SECOND);
        assert_eq!(count_taken(&mut frames, &settings, Duration::from_secs(3000)), BUDGET);
    }

    /// Bytes come in pieces of any size, and what is within a frame is no frame.
    #[test]
    fn pieces_do_not_matter() {
        for size in [1, 2, 8, 9, 10, 23, 64, 1000] {
            let mut frames = Frames::new();
            let mut all = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
            for _ in 0..100 {
                all.extend([frame(8, 0, 4), frame(DATA, 0, 600), frame(4, 0, 0)].concat());
            }
            assert!(all.chunks(size).all(|piece| frames.receive(piece, Duration::ZERO)));
            assert_eq!(
                (frames.left, frames.skip, frames.present),
                (BUDGET - 200, 0, 0),
                "pieces of {size}"
            );
        }
    }
}
