//! JSON Web Tokens, signed with RSA: <https://www.rfc-editor.org/rfc/rfc7519>.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PKCS_RSA_SHA256, SigningKey};
use serde_json::{Value, json};

/// The name of the only key.
const KEY_ID: &str = "the-key";

/// Somebody who signs tokens.
#[derive(Debug)]
pub struct Signer {
    key: KeyPair,
}

impl Default for Signer {
    fn default() -> Self {
        Self::new()
    }
}

impl Signer {
    /// One with a new key of 2048 bits.
    ///
    /// # Panics
    /// When no key can be made.
    #[must_use]
    pub fn new() -> Self {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key can be made");
        Self { key }
    }

    /// A token that says this.
    ///
    /// # Panics
    /// When it cannot be signed.
    #[must_use]
    pub fn token(&self, claims: &Value) -> String {
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": KEY_ID});
        let said = format!("{}.{}", encode(&header), encode(claims));
        format!("{said}.{}", self.signature(&said))
    }

    /// What a token says, if it was signed here.
    #[must_use]
    pub fn claims(&self, token: &str) -> Option<Value> {
        let (said, signature) = token.rsplit_once('.')?;
        // This way of signing gives the same signature each time.
        if self.signature(said) != signature {
            return None;
        }
        let claims = BASE64_URL_SAFE_NO_PAD.decode(said.split_once('.')?.1);
        serde_json::from_slice(&claims.ok()?).ok()
    }

    fn signature(&self, said: &str) -> String {
        let signature = self.key.sign(said.as_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(signature.expect("the key signs"))
    }

    /// The public key as a set of one: <https://www.rfc-editor.org/rfc/rfc7517>.
    #[must_use]
    pub fn key_set(&self) -> Value {
        // The modulus: 256 bytes behind the 9 that announce it; the exponent is 65537.
        let modulus = BASE64_URL_SAFE_NO_PAD.encode(&self.key.public_key_raw()[9..265]);
        json!({"keys": [{
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID, "n": modulus, "e": "AQAB",
        }]})
    }

    /// The private key as Google gives that of a service account.
    #[must_use]
    pub fn service_account(&self, email: &str) -> Value {
        json!({
            "type": "service_account",
            "client_email": email,
            "private_key_id": KEY_ID,
            "private_key": self.key.serialize_pem(),
            "token_uri": "https://oauth2.googleapis.com/token",
        })
    }
}

fn encode(part: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(part.to_string())
}
