//! Reads `sasl.jaas.config`: `module required key="value" …;` with user name and password.

/// User name and password of a login module.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) module: String,
    pub(super) username: String,
    pub(super) password: String,
}

/// Reads a JAAS line. Errors never repeat what the line holds.
pub(super) fn parse(text: &str) -> Result<Login, String> {
    let mut words = words(text)?.into_iter();
    let module = words
        .next()
        .filter(|word| !word.contains('='))
        .ok_or("expected a login module class first")?;
    let module = module.rsplit('.').next().unwrap_or_default().to_owned();
    match words.next().as_deref() {
        Some("required" | "requisite" | "sufficient" | "optional") => {}
        _ => return Err("expected \"required\" after the login module".to_owned()),
    }
    let (mut username, mut password) = (None, None);
    for word in words {
        match word.split_once('=') {
            Some(("username", value)) => username = Some(value.to_owned()),
            Some(("password", value)) => password = Some(value.to_owned()),
            Some(_) => {}
            None => return Err("expected key=\"value\" pairs after \"required\"".to_owned()),
        }
    }
    match (username, password) {
        (Some(username), Some(password)) => Ok(Login {
            module,
            username,
            password,
        }),
        (None, _) => Err("the username is missing".to_owned()),
        (_, None) => Err("the password is missing".to_owned()),
    }
}

/// Splits at spaces outside of quotes, up to the `;` that ends the entry.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.trim().chars();
    let mut ended = false;
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(_), '\\') => word.extend(chars.next()),
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.push(c),
            (None, '"' | '\'') => quote = Some(c),
            (None, ';') => {
                ended = true;
                break;
            }
            (None, c) if c.is_whitespace() => {
                words.extend(Some(std::mem::take(&mut word)).filter(|w| !w.is_empty()))
            }
            (None, c) => word.push(c),
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    if quote.is_some() {
        return Err("a quote is not closed".to_owned());
    }
    if !ended {
        return Err("the line does not end with ';'".to_owned());
    }
    if !chars.as_str().trim().is_empty() {
        return Err("only one login module is supported".to_owned());
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn user_and_password_are_read() {
        let cases = [
            (
                "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"a b\" password=\"p;\\\"q\";",
                "PlainLoginModule",
                "a b",
                "p;\"q",
            ),
            (
                "x.ScramLoginModule  required\n username='u'\n password=p tokenauth=\"true\" ;",
                "ScramLoginModule",
                "u",
                "p",
            ),
        ];
        for (text, module, username, password) in cases {
            let login = parse(text).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(
                (&*login.module, &*login.username, &*login.password),
                (module, username, password)
            );
        }
    }

    #[test]
    fn what_is_missing_is_said_without_the_secret() {
        let cases = [
            (
                "M required username=\"u\" password=\"s3cret\"",
                "does not end with ';'",
            ),
            ("M required password=\"s3cret\";", "username is missing"),
            (
                "M username=\"u\" password=\"s3cret\";",
                "expected \"required\"",
            ),
            (
                "M required username=\"u\" password=\"s3cret;",
                "a quote is not closed",
            ),
            (
                "M required username=u password=s3cret; N required;",
                "only one login module",
            ),
        ];
        for (text, message) in cases {
            let error = parse(text).err().unwrap();
            assert!(
                error.contains(message) && !error.contains("s3cret"),
                "{error}"
            );
        }
    }
}
