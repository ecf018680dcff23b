//! Base64 with the standard alphabet and padding (RFC 4648 section 4), strict: one spelling for each sequence of bytes.

/// Return the bytes, or `None` if the text is not exactly their canonical encoding.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.as_bytes();
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let body = text
        .strip_suffix(b"==")
        .or_else(|| text.strip_suffix(b"="))
        .unwrap_or(text);
    let mut data = Vec::with_capacity(body.len() * 3 / 4);
    for group in body.chunks(4) {
        let mut word = 0_u32;
        for &character in group {
            word = word << 6 | u32::from(digit(character)?);
        }
        let missing = 4 - group.len();
        word <<= 6 * missing;
        let [_, bytes @ ..] = word.to_be_bytes();
        let kept = 3 - missing;
        if bytes[kept..].iter().any(|&byte| byte != 0) {
            return None; // bits beyond the last byte
        }
        data.extend_from_slice(&bytes[..kept]);
    }
    Some(data)
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'A'..=b'Z' => Some(character - b'A'),
        b'a'..=b'z' => Some(character - b'a' + 26),
        b'0'..=b'9' => Some(character - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn the_canonical_spelling_is_read_and_no_other() {
        assert_eq!(decode(""), Some(vec![]));
        assert_eq!(decode("aGk="), Some(b"hi".to_vec()));
        assert_eq!(decode("aA=="), Some(b"h".to_vec()));
        assert_eq!(decode("+/+/"), Some(vec![0xfb, 0xff, 0xbf]));
        for wrong in [
            "a", "aGk", "aGl=", "aB==", "a===", "====", "aG k", "-_-_", "aGk=aGk=", "aGk=\n",
            "=aaa",
        ] {
            assert_eq!(decode(wrong), None, "{wrong:?}");
        }
    }
}
