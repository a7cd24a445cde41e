//! What a client has sent about an entry, and which versions of it may therefore be stored.

use std::time::{Duration, Instant};

/// How long a client waits before it writes again after a write without success. In that time the
/// first request ends: a client that sends two versions at once cannot expect an order.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The state of `DELETE` for an entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Deletion {
    NotSent,
    /// Sent, but not acknowledged: it may have happened.
    Sent,
    Acknowledged,
}

/// An entry, as the client that writes it knows it.
#[derive(Debug)]
pub struct Entry {
    /// Begins each of its texts, and no text of another entry.
    pub name: String,
    /// Id of the acknowledged creation.
    pub id: Option<i64>,
    /// The last version that was sent. The creation sends version 0.
    pub sent: u32,
    /// The last version that was acknowledged.
    pub acknowledged: Option<u32>,
    /// Whether it was deleted.
    pub deletion: Deletion,
    last_failure: Option<Instant>,
}

impl Entry {
    /// Returns an entry that is about to be created.
    pub fn new(name: String) -> Self {
        Self {
            name,
            id: None,
            sent: 0,
            acknowledged: None,
            deletion: Deletion::NotSent,
            last_failure: None,
        }
    }

    /// Returns the text of the version that is sent now. The versions differ in sentiment.
    pub fn text(&self) -> String {
        let day = ["a lovely", "an awful", "another"][self.sent as usize % 3];
        format!("{}, version {}: {day} day", self.name, self.sent)
    }

    /// Returns the id, if the client may write to the entry now.
    pub fn writable(&self) -> Option<i64> {
        let waits = |failed: Instant| failed.elapsed() < RETRY_DELAY;
        let is_writable =
            self.deletion != Deletion::Acknowledged && !self.last_failure.is_some_and(waits);
        self.id.filter(|_| is_writable)
    }

    /// Records that the last version was acknowledged.
    pub fn acknowledge(&mut self) {
        self.acknowledged = Some(self.sent);
        self.last_failure = None;
    }

    /// Records that a write was not acknowledged.
    pub fn fail(&mut self) {
        self.last_failure = Some(Instant::now());
    }

    /// Returns true if the service may answer that the entry does not exist.
    pub fn may_be_missing(&self) -> bool {
        self.acknowledged.is_none() || self.deletion != Deletion::NotSent
    }

    /// Returns what is wrong if the entry is stored in these versions.
    pub fn fault(&self, stored: &[u32]) -> Option<String> {
        let is_right = match stored {
            [] => self.may_be_missing(),
            [version] => {
                self.deletion != Deletion::Acknowledged
                    && (self.acknowledged.unwrap_or(0)..=self.sent).contains(version)
            }
            _ => false,
        };
        (!is_right).then(|| format!("stored in versions {stored:?}: {self:?}"))
    }
}

/// Returns name and version of an entry with this text.
pub fn parse_text(text: &str) -> Option<(&str, u32)> {
    let (name, rest) = text.split_once(", version ")?;
    let (version, _) = rest.split_once(':')?;
    Some((name, version.parse().ok()?))
}
