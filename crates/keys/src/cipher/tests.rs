#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use proptest::prelude::*;

use super::*;

const KEY_ID: u32 = 0x0102_0304;

fn cipher(kind: CipherKind) -> FieldCipher {
    let key: Vec<u8> = (0..kind.key_bytes() as u8).collect();
    FieldCipher::new(kind, KEY_ID, &key).unwrap()
}

fn encrypt(cipher: &FieldCipher, plaintext: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    cipher.encrypt(plaintext, &mut out);
    out
}

fn decrypt(cipher: &FieldCipher, ciphertext: &[u8]) -> Option<Vec<u8>> {
    let mut out = b"before".to_vec();
    let opened = cipher.decrypt(ciphertext, &mut out);
    assert!(out.starts_with(b"before"));
    match opened {
        Ok(()) => Some(out.split_off(6)),
        Err(_) => {
            assert_eq!(out, b"before", "a failure leaves the buffer as it was");
            None
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

#[test]
fn ciphertexts_of_aes_siv_equal_those_of_tink() {
    // Made by tink 1.16 (Python): DeterministicAead, key 00..3f, empty associated data.
    let cases = [
        ("", "01010203046ff5b8ef53fc365606cd3ea047374885"),
        ("a", "0101020304f196e2fbecd4e8cf16e575e8902e15cf0d"),
        (
            "0123456789abcde",
            "0101020304d652a0d173ea5edcd7b1387bf16c7fdcbce5901d8b519d2ec2b34a84815095",
        ),
        (
            "0123456789abcdef",
            "01010203048ba03311101c886db60895317baa3c19da4ec84035679393050180b7899f3fdd",
        ),
        (
            "Grüße aus der Wasserkraft",
            "010102030471b03f3c4e2ef9bca91888f9ff8f7ecaf567e9d0a17ca3d62dbca40d4e8e3138203f4a637c857a6aa48050",
        ),
    ];
    let cipher = cipher(CipherKind::Aes256Siv);
    for (plaintext, ciphertext) in cases {
        assert_eq!(
            hex(&encrypt(&cipher, plaintext.as_bytes())),
            ciphertext,
            "{plaintext:?}"
        );
    }
}

#[test]
fn a_ciphertext_of_tinks_aes_gcm_siv_is_decrypted() {
    // Made by tink 1.16 (Python): Aead, key 00..1f, empty associated data, random nonce.
    let ciphertext = unhex("0101020304627d2bbadbf7c3f1249a6f376a55cf2efe64229a40d19bb2da4b6dbd15");
    assert_eq!(
        decrypt(&cipher(CipherKind::Aes256GcmSiv), &ciphertext).unwrap(),
        b"x"
    );
}

#[test]
fn a_key_that_others_use_at_the_same_time_gives_the_same_ciphertexts() {
    let cipher = Arc::new(cipher(CipherKind::Aes256Siv));
    let plaintext = vec![7; 4096];
    let expected = encrypt(&cipher, &plaintext);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    assert_eq!(encrypt(&cipher, &plaintext), expected);
                    assert_eq!(decrypt(&cipher, &expected).unwrap(), plaintext);
                }
            });
        }
    });
}

#[test]
fn names_are_read_whatever_their_case_and_others_refused() {
    assert_eq!("aes256_siv".parse(), Ok(CipherKind::Aes256Siv));
    assert_eq!("AES256_GCM_SIV".parse(), Ok(CipherKind::Aes256GcmSiv));
    assert!(
        "AES256_GCM"
            .parse::<CipherKind>()
            .unwrap_err()
            .contains("AES256_GCM_SIV")
    );
}

fn kinds() -> impl Strategy<Value = CipherKind> {
    prop_oneof![Just(CipherKind::Aes256Siv), Just(CipherKind::Aes256GcmSiv)]
}

proptest! {
    #[test]
    fn what_is_encrypted_is_decrypted_and_equal_values_stay_equal(
        kind in kinds(), plaintext in proptest::collection::vec(any::<u8>(), 0..100)
    ) {
        let cipher = cipher(kind);
        let ciphertext = encrypt(&cipher, &plaintext);
        prop_assert_eq!(ciphertext.len(), plaintext.len() + cipher.overhead());
        prop_assert_eq!(&encrypt(&cipher, &plaintext), &ciphertext);
        prop_assert_eq!(decrypt(&cipher, &ciphertext), Some(plaintext));
    }

    #[test]
    fn a_changed_ciphertext_is_refused(
        kind in kinds(), plaintext in proptest::collection::vec(any::<u8>(), 0..60), at in any::<usize>(), bit in 0u8..8
    ) {
        let cipher = cipher(kind);
        let mut ciphertext = encrypt(&cipher, &plaintext);
        let at = at % ciphertext.len();
        prop_assert_eq!(decrypt(&cipher, &ciphertext[..at]), None);
        ciphertext[at] ^= 1u8 << bit;
        prop_assert_eq!(decrypt(&cipher, &ciphertext), None);
    }

    #[test]
    fn any_bytes_are_decrypted_or_refused(kind in kinds(), bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        prop_assert_eq!(decrypt(&cipher(kind), &bytes), None);
    }
}
