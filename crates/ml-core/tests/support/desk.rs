//! A source that the test holds by the hand: what each fetch does is scripted, and what was asked is remembered.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ml_core::{Lookup, LookupError};
use tokio::sync::Semaphore;

/// What a fetch is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Answer each identifier with the number of this fetch, from 1 on; `nobody` is unknown.
    Answer,
    /// Answer once the test opens the door.
    AnswerWhenOpened,
    /// Fail for good once the test opens the door.
    FailWhenOpened,
    /// Never answer.
    Hang,
    /// Fail for good.
    Fail,
    /// Fail in a way that may be gone in a moment.
    Stumble,
    /// Panic.
    Panic,
}

#[derive(Clone, Default)]
pub struct Desk(Arc<Inner>);

struct Inner {
    script: Mutex<VecDeque<Act>>,
    afterwards: Mutex<Act>,
    asked: Mutex<Vec<Vec<String>>>,
    door: Semaphore,
    out: AtomicUsize,
    most_out: AtomicUsize,
    one_key: bool,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            script: Mutex::default(),
            afterwards: Mutex::new(Act::Answer),
            asked: Mutex::default(),
            door: Semaphore::new(0),
            out: AtomicUsize::new(0),
            most_out: AtomicUsize::new(0),
            one_key: false,
        }
    }
}

impl Desk {
    /// A desk whose fetches do this one after the other, and answer afterwards.
    pub fn scripted(acts: &[Act]) -> Self {
        Self(Arc::new(Inner { script: Mutex::new(acts.iter().copied().collect()), ..Inner::default() }))
    }

    /// A desk whose fetches all do this, and take one key each.
    pub fn of_one_key(act: Act) -> Self {
        Self(Arc::new(Inner { afterwards: Mutex::new(act), one_key: true, ..Inner::default() }))
    }

    /// Lets every fetch from now on do this.
    pub fn does_from_now_on(&self, act: Act) {
        *self.0.afterwards.lock().expect("no panic") = act;
    }

    pub fn open(&self, fetches: usize) {
        self.0.door.add_permits(fetches);
    }

    pub fn asked(&self) -> Vec<Vec<String>> {
        self.0.asked.lock().expect("no panic").clone()
    }

    pub fn fetches(&self) -> usize {
        self.0.asked.lock().expect("no panic").len()
    }

    /// How many fetches were out at once at most.
    pub fn most_out(&self) -> usize {
        self.0.most_out.load(Ordering::SeqCst)
    }
}

impl Lookup for Desk {
    type Value = i64;

    async fn fetch_many(&self, ids: &[String]) -> Result<Vec<Option<i64>>, LookupError> {
        let number = {
            let mut asked = self.0.asked.lock().expect("no panic");
            asked.push(ids.to_vec());
            asked.len() as i64
        };
        let out = self.0.out.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most_out.fetch_max(out, Ordering::SeqCst);
        let scripted = self.0.script.lock().expect("no panic").pop_front();
        let act = scripted.unwrap_or(*self.0.afterwards.lock().expect("no panic"));
        let fetched = match act {
            Act::Answer => Ok(()),
            Act::AnswerWhenOpened | Act::FailWhenOpened => {
                self.0.door.acquire().await.expect("never closed").forget();
                if act == Act::AnswerWhenOpened {
                    Ok(())
                } else {
                    Err(LookupError::new("the desk is closed"))
                }
            }
            Act::Hang => std::future::pending().await,
            Act::Fail => Err(LookupError::new("the desk is closed")),
            Act::Stumble => Err(LookupError::retryable("one moment, please")),
            Act::Panic => panic!("scripted panic at the desk"),
        };
        self.0.out.fetch_sub(1, Ordering::SeqCst);
        fetched.map(|()| ids.iter().map(|id| (id != "nobody").then_some(number)).collect())
    }

    fn keys_per_fetch_max(&self) -> usize {
        if self.0.one_key { 1 } else { 1000 }
    }
}
