//! `Date` (RFC 9110 6.6.1): who has a clock says when an answer was made.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderValue;

thread_local! {
    /// The second that was told last, and how: a calendar is consulted once a second, not once an answer.
    static NOW: RefCell<(u64, HeaderValue)> = const { RefCell::new((u64::MAX, HeaderValue::from_static(""))) };
}

/// Says what time it is.
pub(super) fn tell<T>(say: impl FnOnce(&HeaderValue) -> T) -> T {
    let now = SystemTime::now();
    let second = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    NOW.with_borrow_mut(|(told, text)| {
        // Any time can be said in a field: were it otherwise, the last one would do.
        if *told != second
            && let Ok(said) = HeaderValue::try_from(httpdate::fmt_http_date(now))
        {
            (*told, *text) = (second, said);
        }
        say(text)
    })
}
