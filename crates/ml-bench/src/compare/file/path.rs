//! Paths in the file of a comparison are relative to it, so that it can be run from anywhere.

use std::path::{Path, PathBuf};

use super::{Described, Plan, PlanTarget};

impl Plan {
    pub(super) fn resolve(&mut self, base: &Path) {
        resolve(self.data.iter_mut(), base);
        for target in &mut self.targets {
            target.resolve(base);
        }
    }
}

impl PlanTarget {
    fn resolve(&mut self, base: &Path) {
        resolve(self.data.iter_mut(), base);
        if let Some(Described::File(path)) = &mut self.target {
            resolve([path], base);
        }
        if let Some(limit) = &mut self.limit {
            resolve([&mut limit.model].into_iter().chain(&mut limit.tokenizer), base);
        }
        if let Some(start) = &mut self.start {
            resolve([&mut start.directory], base);
        }
    }
}

fn resolve<'a>(paths: impl IntoIterator<Item = &'a mut PathBuf>, base: &Path) {
    for path in paths {
        *path = base.join(&*path);
    }
}
