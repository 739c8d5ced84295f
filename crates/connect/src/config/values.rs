//! The kinds of values that a configuration key takes, each parsed with an error that says what is
//! expected and never repeats a secret.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// A value of a configuration key.
pub trait ConfigValue: Sized {
    /// What kind of value, for the reference: "a number", "a list of topics".
    const KIND: &'static str;
    /// Whether it must never be shown.
    const SECRET: bool = false;

    /// Parses the resolved text of the value; the error says what is expected.
    fn parse(text: &str) -> Result<Self, String>;

    /// The value when the key is absent and has no default; `None` makes the key required.
    fn absent() -> Option<Self> {
        None
    }
}

impl<T: ConfigValue> ConfigValue for Option<T> {
    const KIND: &'static str = T::KIND;
    const SECRET: bool = T::SECRET;

    fn parse(text: &str) -> Result<Self, String> {
        T::parse(text).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl ConfigValue for String {
    const KIND: &'static str = "text";

    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            Err("is empty".into())
        } else {
            Ok(text.to_owned())
        }
    }
}

impl ConfigValue for bool {
    const KIND: &'static str = "true or false";

    fn parse(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(format!("must be true or false, not {text:?}")),
        }
    }
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl ConfigValue for $type {
            const KIND: &'static str = "a whole number";

            fn parse(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| match text.parse::<i128>() {
                    Ok(_) => format!("must be a whole number from {} to {}, not {text:?}", Self::MIN, Self::MAX),
                    Err(_) => format!("must be a whole number, not {text:?}"),
                })
            }
        }
    )*};
}
numbers!(i32, i64, u16, u32, u64, usize);

/// Comma-separated names, blanks around them ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(pub Vec<String>);

impl ConfigValue for Names {
    const KIND: &'static str = "a comma-separated list";

    fn parse(text: &str) -> Result<Self, String> {
        let names: Vec<String> = text
            .split(',')
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .collect();
        if let Some((i, name)) = names
            .iter()
            .enumerate()
            .find(|(i, name)| names[..*i].contains(name))
        {
            return Err(format!("names {name:?} twice (item {})", i + 1));
        }
        Ok(Self(names))
    }

    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

/// A duration in milliseconds, as Kafka's `*.ms` keys take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub Duration);

impl ConfigValue for Millis {
    const KIND: &'static str = "milliseconds";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
            .map(|ms| Self(Duration::from_millis(ms)))
            .map_err(|_| format!("must be a number of milliseconds, not {text:?}"))
    }
}

/// A number of bytes: plain, or with `kb`, `mb`, `gb` (powers of 1024).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl ConfigValue for ByteSize {
    const KIND: &'static str = "bytes (1024, 64kb, 5mb, 1gb)";

    fn parse(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_ascii_lowercase();
        let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit: u64 = match &lower[digits.len()..] {
            "" | "b" => 1,
            "k" | "kb" | "kib" => 1 << 10,
            "m" | "mb" | "mib" => 1 << 20,
            "g" | "gb" | "gib" => 1 << 30,
            _ => {
                return Err(format!(
                    "must be a number of bytes such as 1024, 64kb or 5mb, not {text:?}"
                ));
            }
        };
        digits
            .trim()
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(unit))
            .map(Self)
            .ok_or_else(|| {
                format!("must be a number of bytes such as 1024, 64kb or 5mb, not {text:?}")
            })
    }
}

/// An address to listen on: `127.0.0.1:8080`, `:8080` (loopback), or the same behind `http://` or `https://`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// Where to listen.
    pub address: SocketAddr,
    /// It stands behind `https://`: whoever wrote it counts on TLS.
    pub says_https: bool,
}

impl ConfigValue for ListenAddress {
    const KIND: &'static str = "host:port";

    fn parse(text: &str) -> Result<Self, String> {
        let scheme = scheme(text).filter(|(scheme, _)| matches!(scheme.as_str(), "http" | "https"));
        let says_https = scheme.as_ref().is_some_and(|(scheme, _)| scheme == "https");
        let address = scheme.map_or(text, |(_, rest)| rest).trim_end_matches('/');
        let address = match address.strip_prefix(':') {
            Some(port) => format!("127.0.0.1:{port}"),
            None => address.replacen("localhost:", "127.0.0.1:", 1),
        };
        let address = address.parse().map_err(|_| {
            format!("must be an address and port such as 127.0.0.1:8080, not {text:?}")
        })?;
        Ok(Self {
            address,
            says_https,
        })
    }
}

/// The scheme of a URL in lower case, and what follows it.
fn scheme(text: &str) -> Option<(String, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    Some((scheme.to_ascii_lowercase(), rest))
}

/// An address to listen on where TLS cannot be had: as [`ListenAddress`], without `https://`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainListenAddress(pub SocketAddr);

impl ConfigValue for PlainListenAddress {
    const KIND: &'static str = ListenAddress::KIND;

    fn parse(text: &str) -> Result<Self, String> {
        if text.contains(',') {
            return Err("can only be one address".to_owned());
        }
        let listen = ListenAddress::parse(text)?;
        if listen.says_https {
            return Err(
                "cannot be https://, since there is no TLS here: listen on http://127.0.0.1 behind a proxy that has it"
                    .to_owned(),
            );
        }
        Ok(Self(listen.address))
    }
}

/// A value that is never shown: not in logs, REST answers, errors or debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself; for the one place that uses it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

impl ConfigValue for Secret {
    const KIND: &'static str = "a secret, best as a reference such as ${env:NAME}";
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            Err("is empty".into())
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

impl ConfigValue for regex::Regex {
    const KIND: &'static str = "a regular expression (Rust syntax)";

    fn parse(text: &str) -> Result<Self, String> {
        regex::Regex::new(text).map_err(|error| {
            format!("is not a regular expression that can be used here (Rust's regex syntax, no look-around): {error}")
        })
    }
}

impl ConfigValue for penstock_formats::FieldPath {
    const KIND: &'static str = "a field path (customer.id)";

    fn parse(text: &str) -> Result<Self, String> {
        penstock_formats::FieldPath::parse(text).map_err(|error| error.to_string())
    }
}

impl ConfigValue for std::path::PathBuf {
    const KIND: &'static str = "a path";

    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            Err("is empty".into())
        } else {
            Ok(text.into())
        }
    }
}

/// Declares an enum of fixed words as a configuration value: `choice! { /// doc pub enum Tolerance { None = "none", All = "all" } }`.
#[macro_export]
macro_rules! choice {
    ($(#[doc = $doc:literal])* $vis:vis enum $name:ident { $($(#[doc = $vdoc:literal])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $name { $($(#[doc = $vdoc])* $variant),+ }

        impl $crate::config::ConfigValue for $name {
            const KIND: &'static str = concat!("one of" $(, " `", $word, "`")+);

            fn parse(text: &str) -> Result<Self, String> {
                match text.to_ascii_lowercase().as_str() {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(format!("must be one of {}, not {text:?}", [$($word),+].join(", "))),
                }
            }
        }
    };
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn byte_sizes_take_units_and_refuse_overflow() {
        for (text, bytes) in [
            ("0", 0),
            ("64kb", 65_536),
            ("5MB", 5 << 20),
            ("1 gb", 1 << 30),
        ] {
            assert_eq!(ByteSize::parse(text).unwrap().0, bytes, "{text}");
        }
        for text in ["", "kb", "-1", "5tb", "99999999999gb"] {
            assert!(ByteSize::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn listen_addresses_default_to_loopback() {
        for text in [
            "127.0.0.1:8083",
            "http://127.0.0.1:8083",
            "http://:8083/",
            "HTTP://:8083",
            "localhost:8083",
        ] {
            assert_eq!(
                ListenAddress::parse(text).unwrap().address,
                "127.0.0.1:8083".parse().unwrap(),
                "{text}"
            );
        }
    }

    #[test]
    fn where_there_is_no_tls_https_is_refused() {
        assert!(
            ListenAddress::parse("https://127.0.0.1:8443")
                .unwrap()
                .says_https
        );
        for (text, reason) in [
            ("https://127.0.0.1:8443", "no TLS"),
            ("HTTPS://:8443", "no TLS"),
            ("http://:8083,https://:8443", "one address"),
            ("ftp://127.0.0.1:8083", "must be an address and port"),
        ] {
            let refused = PlainListenAddress::parse(text).unwrap_err();
            assert!(refused.contains(reason), "{text}: {refused}");
        }
        let plain = PlainListenAddress::parse("HTTP://:8083").unwrap();
        assert_eq!(plain.0, "127.0.0.1:8083".parse().unwrap());
    }

    #[test]
    fn secrets_hide_in_debug_output() {
        assert_eq!(
            format!("{:?}", Secret::parse("hunter2").unwrap()),
            "[hidden]"
        );
    }
}
