//! What `dynamic_batching` of a configuration says of the queue: who goes first, how many wait, and how long.

use std::time::Duration;

use ml_core::Priority;

use crate::grpc::proto::model_config::SchedulingChoice;
use crate::grpc::proto::model_queue_policy::TimeoutAction;
use crate::grpc::proto::{ModelConfig, ModelQueuePolicy};

/// How the requests of a model wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// The most items that wait, where the configuration bounds them.
    pub queue_items_max: Option<usize>,
    /// The longest wait, where the configuration bounds it: who would wait longer is refused at once.
    pub queue_wait_max: Option<Duration>,
    /// Whether requests may bring a timeout of their own.
    pub takes_timeouts: bool,
    /// 0 where the configuration knows no levels.
    levels: u64,
    default_level: u64,
}

/// That of a model whose configuration says nothing.
impl Default for Schedule {
    fn default() -> Self {
        Self {
            queue_items_max: None,
            queue_wait_max: None,
            takes_timeouts: true,
            levels: 0,
            default_level: 0,
        }
    }
}

impl Schedule {
    /// Reads what a configuration states; what it leaves open is decided by the server's settings.
    ///
    /// # Errors
    /// When levels and their default do not fit.
    pub fn read(config: &ModelConfig) -> Result<Self, String> {
        let Some(SchedulingChoice::DynamicBatching(batching)) = &config.scheduling_choice else {
            return Ok(Self::default());
        };
        let (levels, default_level) = (batching.priority_levels, batching.default_priority_level);
        if default_level > levels || levels > 0 && default_level == 0 {
            return Err(format!(
                "default_priority_level is {default_level}, and priority_levels is {levels}: it must be one of them"
            ));
        }
        let read = Self { levels, default_level, ..Self::default() };
        Ok(batching.default_queue_policy.as_ref().map_or(read, |policy| read.bounded(policy)))
    }

    fn bounded(self, policy: &ModelQueuePolicy) -> Self {
        let micros = policy.default_timeout_microseconds;
        let rejects = policy.timeout_action() == TimeoutAction::Reject && micros > 0;
        let items = usize::try_from(policy.max_queue_size).unwrap_or(usize::MAX);
        Self {
            queue_items_max: (items > 0).then_some(items),
            queue_wait_max: rejects.then(|| Duration::from_micros(micros)),
            takes_timeouts: policy.allow_timeout_override,
            ..self
        }
    }

    /// Returns the priority of a request that asks for a level, of which 1 goes first and 0 is the default.
    ///
    /// There are two in the engine: 1 is interactive, and all others are bulk. A level that there is not means the
    /// default, as in Triton.
    pub fn priority(&self, asked: u64, usual: Priority) -> Priority {
        let known = self.levels == 0 || asked <= self.levels;
        match if asked > 0 && known { asked } else { self.default_level } {
            1 if asked == 1 => Priority::Interactive,
            0 | 1 => usual,
            _ => Priority::Bulk,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::proto::ModelDynamicBatching;

    fn schedule(batching: ModelDynamicBatching) -> Result<Schedule, String> {
        let scheduling_choice = Some(SchedulingChoice::DynamicBatching(batching));
        Schedule::read(&ModelConfig { scheduling_choice, ..ModelConfig::default() })
    }

    fn policy(action: TimeoutAction, micros: u64, items: u32) -> ModelDynamicBatching {
        let policy = ModelQueuePolicy {
            timeout_action: action.into(),
            default_timeout_microseconds: micros,
            allow_timeout_override: false,
            max_queue_size: items,
        };
        ModelDynamicBatching { default_queue_policy: Some(policy), ..ModelDynamicBatching::default() }
    }

    #[test]
    fn a_queue_policy_bounds_the_queue_and_the_wait() {
        assert_eq!(Schedule::read(&ModelConfig::default()), Ok(Schedule::default()));
        assert_eq!(schedule(ModelDynamicBatching::default()), Ok(Schedule::default()));
        let bounded = schedule(policy(TimeoutAction::Reject, 1500, 7)).unwrap();
        assert_eq!(bounded.queue_items_max, Some(7));
        assert_eq!(bounded.queue_wait_max, Some(Duration::from_micros(1500)));
        assert!(!bounded.takes_timeouts);
        // What is only put behind others is not refused, and 0 bounds nothing.
        let delayed = schedule(policy(TimeoutAction::Delay, 1500, 0)).unwrap();
        assert_eq!((delayed.queue_items_max, delayed.queue_wait_max), (None, None));
    }

    #[test]
    fn the_first_level_goes_before_the_others() {
        use Priority::{Bulk, Interactive};
        let levels = |priority_levels, default_priority_level| {
            schedule(ModelDynamicBatching {
                priority_levels,
                default_priority_level,
                ..ModelDynamicBatching::default()
            })
        };
        // (levels, default) and what each asked level becomes of a call that is usually interactive.
        for ((count, default), expected) in [
            ((0, 0), [(0, Interactive), (1, Interactive), (2, Bulk), (9, Bulk)]),
            ((3, 1), [(0, Interactive), (1, Interactive), (2, Bulk), (9, Interactive)]),
            ((3, 2), [(0, Bulk), (1, Interactive), (3, Bulk), (9, Bulk)]),
        ] {
            let schedule = levels(count, default).unwrap();
            for (asked, priority) in expected {
                assert_eq!(schedule.priority(asked, Interactive), priority, "{asked} of {count}, {default}");
            }
        }
        // A header that asks for bulk holds where the request leaves it open.
        assert_eq!(levels(3, 1).unwrap().priority(0, Bulk), Bulk);
        for (count, default) in [(0, 1), (2, 3), (2, 0)] {
            let error = levels(count, default).unwrap_err();
            assert!(
                error.contains(&format!("priority_level is {default}, and priority_levels is {count}")),
                "{error}"
            );
        }
    }
}
