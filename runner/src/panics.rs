//! Panics of plugins and libraries: where one was is told, its text only if it is a fixed one. Others may
//! hold a value of the record at hand (that of a slice off a character's edge repeats the string).

use std::cell::RefCell;
use std::panic::PanicHookInfo;
use std::sync::Once;

thread_local! {
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// From now on panics are logged without texts that may hold values.
pub(crate) fn withhold_texts() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            let told = told(panic);
            let thread = std::thread::current();
            let thread = thread.name().unwrap_or("unnamed");
            tracing::error!(thread, "panicked at {told}");
            LAST.with_borrow_mut(|last| *last = Some(told));
        }));
    });
}

/// The place of this thread's last panic, and its text if that is a fixed one.
pub(crate) fn last() -> String {
    LAST.with_borrow_mut(Option::take)
        .unwrap_or_else(|| "at an unknown place".to_owned())
}

fn told(panic: &PanicHookInfo<'_>) -> String {
    let place = panic
        .location()
        .map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    match panic.payload().downcast_ref::<&'static str>() {
        Some(text) => format!("{place}: {text}"),
        None => format!("{place} (its text is withheld, since it may hold a value of a record)"),
    }
}
