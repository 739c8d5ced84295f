//! PEM as it stands in properties files: often in one line, which Java's clients read and librdkafka does
//! not.

/// Gives the blocks of a text their lines. `None` when there is no whole block.
pub(super) fn in_lines(text: &str) -> Option<String> {
    let mut lines = String::new();
    let mut rest = text;
    while let Some((_, begun)) = rest.split_once("-----BEGIN ") {
        let (label, block) = begun.split_once("-----")?;
        let (body, after) = block.split_once(&format!("-----END {label}-----"))?;
        rest = after;
        lines += &format!("-----BEGIN {label}-----\n");
        if body.contains(':') {
            // The headers of an encrypted key end with an empty line.
            lines += body.trim_start_matches(['\r', '\n']);
        } else {
            let body: Vec<char> = body.chars().filter(|c| !c.is_whitespace()).collect();
            for line in body.chunks(64) {
                lines.extend(line);
                lines.push('\n');
            }
        }
        lines += &format!("-----END {label}-----\n");
    }
    (!lines.is_empty()).then_some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_get_their_lines_back() {
        let base64 = "A".repeat(64) + "B=";
        let whole = format!(
            "-----BEGIN CERTIFICATE-----\n{}\nB=\n-----END CERTIFICATE-----\n\
             -----BEGIN PRIVATE KEY-----\nQQ==\n-----END PRIVATE KEY-----\n",
            "A".repeat(64)
        );
        let cases = [
            whole.clone(),
            whole.replace('\n', " "),
            whole.replace('\n', "\r\n"),
            format!(
                "subject=x -----BEGIN CERTIFICATE-----{base64}-----END CERTIFICATE-----\
                 -----BEGIN PRIVATE KEY-----QQ==-----END PRIVATE KEY-----"
            ),
        ];
        for text in cases {
            assert_eq!(in_lines(&text).as_deref(), Some(&*whole), "{text}");
        }
        let encrypted = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nQQ==\n\
                         -----END RSA PRIVATE KEY-----\n";
        assert_eq!(in_lines(encrypted).as_deref(), Some(encrypted));
    }

    #[test]
    fn what_has_no_whole_block_is_none() {
        for text in [
            "",
            "/etc/ca.pem",
            "-----BEGIN CERTIFICATE-----QQ==",
            "-----BEGIN CERTIFICATE-----QQ==-----END PRIVATE KEY-----",
        ] {
            assert_eq!(in_lines(text), None, "{text}");
        }
    }
}
