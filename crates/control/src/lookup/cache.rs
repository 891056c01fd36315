//! Answers of the API server that are good for a while, bounded in number and size.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

const MOST: usize = 1024;
const BYTES: usize = 32 << 20;

struct Entry {
    value: Arc<Value>,
    /// Of the text: what the value takes is a multiple.
    size: usize,
    asked: Instant,
}

/// The answers by what was asked.
#[derive(Default)]
pub(super) struct Cache(Mutex<HashMap<String, Entry>>);

impl Cache {
    /// An answer that is no older than `fresh`.
    pub(super) fn get(&self, key: &str, fresh: Duration) -> Option<Arc<Value>> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(key).filter(|entry| entry.asked.elapsed() < fresh)?;
        Some(entry.value.clone())
    }

    /// Keeps an answer, if it is good for any time at all.
    pub(super) fn put(&self, key: &str, value: Value, size: usize, fresh: Duration) -> Arc<Value> {
        let value = Arc::new(value);
        if fresh.is_zero() || size > BYTES / 8 {
            return value;
        }
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.insert(key.to_owned(), Entry { value: value.clone(), size, asked: Instant::now() });
        let mut bytes: usize = entries.values().map(|entry| entry.size).sum();
        while entries.len() > MOST || bytes > BYTES {
            let oldest = entries.iter().min_by_key(|(_, entry)| entry.asked).map(|(key, _)| key.clone());
            let Some(gone) = oldest.and_then(|key| entries.remove(&key)) else { break };
            bytes -= gone.size;
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keeps_what_is_fresh_and_no_more_than_fits() {
        let (cache, minute) = (Cache::default(), Duration::from_secs(60));
        cache.put("now", json!(1), 1, Duration::ZERO);
        assert_eq!(cache.get("now", minute), None);
        for number in 0..MOST + 5 {
            cache.put(&number.to_string(), json!(number), 1, minute);
        }
        assert_eq!(cache.get("4", minute), None);
        assert_eq!(cache.get("5", minute), Some(Arc::new(json!(5))));
        assert_eq!(cache.get("5", Duration::ZERO), None);
        for number in 0..20 {
            cache.put(&format!("large {number}"), json!(number), BYTES / 8, minute);
        }
        let kept = cache.0.lock().unwrap().values().map(|entry| entry.size).sum::<usize>();
        assert!(kept <= BYTES, "{kept}");
        cache.put("too large", json!(0), BYTES, minute);
        assert_eq!(cache.get("too large", minute), None);
    }
}
