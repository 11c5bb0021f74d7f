//! Parameters at rest: values sealed under AES-GCM, in upstream's form, so that documents can be taken over.
//!
//! Upstream: `common/scala/src/main/scala/org/apache/openwhisk/core/entity/ParameterEncryption.scala`. What is
//! stored is the base64 text of the nonce's length (four bytes), the nonce, and the sealed JSON. An entry
//! names its cipher; under one without a key it is passed on as it is. Null says that there is no value and
//! is never sealed, so that a `final` action can still be given one.

use std::collections::BTreeMap;
use std::fmt;

use aes_gcm::aead::consts::U128;
use aes_gcm::aead::{Aead, AeadCore, KeyInit, Nonce};
use aes_gcm::aes::Aes256;
use aes_gcm::{Aes128Gcm, AesGcm};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::RngCore;
use serde_json::value::RawValue;

use super::json;
use super::parameters::{Parameter, Parameters};

/// Upstream's AES-256 has a nonce of 128 bytes.
type LongNonceAes256 = AesGcm<Aes256, U128>;

/// The length of a nonce, in front of it.
const LENGTH: usize = size_of::<u32>();

/// A way to seal parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cipher {
    /// `aes-128`
    Aes128,
    /// `aes-256`
    Aes256,
}

impl Cipher {
    /// As entries name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aes128 => "aes-128",
            Self::Aes256 => "aes-256",
        }
    }

    /// The cipher of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Aes128, Self::Aes256].into_iter().find(|cipher| cipher.as_str() == name)
    }
}

/// A sealed value that its key does not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value of parameter '{key}' cannot be opened with the key for {cipher}")]
pub struct Unopened {
    /// Which parameter.
    pub key: String,
    /// The cipher that its entry names.
    pub cipher: &'static str,
}

/// The keys of an installation, and the cipher of what is written from now on. `Debug` hides the keys.
#[derive(Clone, Default)]
pub struct Ciphers {
    current: Option<Cipher>,
    aes_128: Option<Aes128Gcm>,
    aes_256: Option<LongNonceAes256>,
}

impl fmt::Debug for Ciphers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ciphers({:?})", self.current)
    }
}

impl Ciphers {
    /// Of those keys.
    pub fn new(current: Option<Cipher>, aes_128: Option<&[u8; 16]>, aes_256: Option<&[u8; 32]>) -> Self {
        Self {
            current,
            aes_128: aes_128.map(|key| Aes128Gcm::new(key.into())),
            aes_256: aes_256.map(|key| LongNonceAes256::new(key.into())),
        }
    }

    /// These parameters as they are stored: those that are not sealed yet are, if anything is.
    pub fn sealed(&self, parameters: &Parameters) -> Parameters {
        let Some(cipher) = self.current else { return parameters.clone() };
        let seal = |parameter: &Parameter| {
            if parameter.encryption.is_some() || parameter.value.get() == "null" {
                return parameter.clone();
            }
            let Some(text) = self.seal(cipher, parameter.value.get()) else { return parameter.clone() };
            let encryption = Some(cipher.as_str().to_owned());
            Parameter { value: json::raw(&text), encryption, ..parameter.clone() }
        };
        parameters.iter().map(seal).collect()
    }

    /// Arguments with their sealed values opened. `locked` names them, and their ciphers.
    pub fn opened(
        &self,
        arguments: &RawValue,
        locked: &BTreeMap<String, String>,
    ) -> Result<Box<RawValue>, Unopened> {
        if locked.is_empty() || json::shape(arguments) != json::Shape::Object {
            return Ok(arguments.to_owned());
        }
        let mut members: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(arguments.get()).unwrap_or_default();
        for (key, name) in locked {
            // As upstream: what is no text, and what is under a cipher that is not known, stays as it is.
            let Some(cipher) = Cipher::parse(name).filter(|cipher| self.has_key(*cipher)) else { continue };
            let Some(value) = members.get_mut(key) else { continue };
            let Ok(text) = serde_json::from_str::<String>(value.get()) else { continue };
            let opened = self.open(cipher, &text).and_then(|text| RawValue::from_string(text).ok());
            *value = opened.ok_or_else(|| Unopened { key: key.clone(), cipher: cipher.as_str() })?;
        }
        Ok(json::raw(&members))
    }

    fn has_key(&self, cipher: Cipher) -> bool {
        match cipher {
            Cipher::Aes128 => self.aes_128.is_some(),
            Cipher::Aes256 => self.aes_256.is_some(),
        }
    }

    fn seal(&self, cipher: Cipher, text: &str) -> Option<String> {
        match cipher {
            Cipher::Aes128 => self.aes_128.as_ref().map(|key| seal(key, text)),
            Cipher::Aes256 => self.aes_256.as_ref().map(|key| seal(key, text)),
        }
    }

    fn open(&self, cipher: Cipher, text: &str) -> Option<String> {
        match cipher {
            Cipher::Aes128 => self.aes_128.as_ref().and_then(|key| open(key, text)),
            Cipher::Aes256 => self.aes_256.as_ref().and_then(|key| open(key, text)),
        }
    }
}

fn seal<C: Aead + AeadCore>(key: &C, text: &str) -> String {
    let mut nonce = Nonce::<C>::default();
    rand::rng().fill_bytes(&mut nonce);
    let sealed = key.encrypt(&nonce, text.as_bytes());
    let mut all = u32::try_from(nonce.len()).expect("a nonce is short").to_be_bytes().to_vec();
    all.extend_from_slice(&nonce);
    all.extend(sealed.expect("AES-GCM seals whatever is shorter than 64 GiB"));
    STANDARD.encode(all)
}

fn open<C: Aead + AeadCore>(key: &C, text: &str) -> Option<String> {
    let all = STANDARD.decode(text).ok()?;
    let (length, rest) = all.split_at_checked(LENGTH)?;
    let mut nonce = Nonce::<C>::default();
    let length = u32::from_be_bytes(length.try_into().ok()?);
    if usize::try_from(length) != Ok(nonce.len()) {
        return None;
    }
    let (given, sealed) = rest.split_at_checked(nonce.len())?;
    nonce.copy_from_slice(given);
    String::from_utf8(key.decrypt(&nonce, sealed).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ciphers(current: Option<Cipher>) -> Ciphers {
        Ciphers::new(current, Some(&[1; 16]), Some(&[2; 32]))
    }

    fn locked(parameters: &Parameters) -> BTreeMap<String, String> {
        parameters.iter().filter_map(|p| Some((p.key.clone(), p.encryption.clone()?))).collect()
    }

    fn arguments(parameters: &Parameters) -> Box<RawValue> {
        parameters.merged_with_payload(&json::empty_object())
    }

    #[test]
    fn what_is_sealed_is_opened_under_either_cipher() {
        let plain = Parameters::new().with("a", "x").with("b", &[1, 2]).with("n", &());
        for cipher in [Cipher::Aes128, Cipher::Aes256] {
            let stored = ciphers(Some(cipher)).sealed(&plain);
            let names: Vec<_> = stored.iter().map(|p| p.encryption.as_deref()).collect();
            assert_eq!(names, [Some(cipher.as_str()), Some(cipher.as_str()), None]);
            assert_eq!(stored.get("n").unwrap().get(), "null");
            assert!(!json::raw(&stored).get().contains("\"x\""));
            // The cipher of what is written may have changed since.
            let opened = ciphers(None).opened(&arguments(&stored), &locked(&stored)).unwrap();
            assert_eq!(opened.get(), r#"{"a":"x","b":[1,2],"n":null}"#);
        }
    }

    #[test]
    fn entries_that_are_sealed_stay_as_they_are() {
        let once = ciphers(Some(Cipher::Aes128)).sealed(&Parameters::new().with("a", &1));
        assert_eq!(ciphers(Some(Cipher::Aes256)).sealed(&once), once);
        assert_eq!(ciphers(None).sealed(&Parameters::new().with("a", &1)).get("a").unwrap().get(), "1");
        let twice = ciphers(Some(Cipher::Aes128)).sealed(&Parameters::new().with("a", &1));
        assert_ne!(once, twice, "every value has a nonce of its own");
    }

    #[test]
    fn only_what_is_named_is_opened_and_what_cannot_be_is_told() {
        let stored = ciphers(Some(Cipher::Aes128)).sealed(&Parameters::new().with("a", &1));
        let sealed = arguments(&stored);
        assert_eq!(ciphers(None).opened(&sealed, &BTreeMap::new()).unwrap().get(), sealed.get());
        // Without the key it is passed on.
        let passed = Ciphers::default().opened(&sealed, &locked(&stored)).unwrap();
        assert_eq!(passed.get(), sealed.get());
        let other = Ciphers::new(None, Some(&[3; 16]), None).opened(&sealed, &locked(&stored));
        assert_eq!(other.unwrap_err(), Unopened { key: "a".to_owned(), cipher: "aes-128" });
        let named = BTreeMap::from([("a".to_owned(), "aes-128".to_owned())]);
        for (given, opened) in
            [(r#"{"a":7}"#, Ok(r#"{"a":7}"#)), ("[1]", Ok("[1]")), (r#"{"a":"x"}"#, Err(()))]
        {
            let given: Box<RawValue> = serde_json::from_str(given).unwrap();
            let found = ciphers(None).opened(&given, &named);
            assert_eq!(found.as_deref().map(RawValue::get).map_err(|_| ()), opened);
        }
    }

    // apache/openwhisk: tests/src/test/scala/org/apache/openwhisk/core/entity/test/ParameterEncryptionTests.scala
    #[test]
    fn the_stored_form_begins_with_the_length_of_the_nonce() {
        for (cipher, length) in [(Cipher::Aes128, 12), (Cipher::Aes256, 128)] {
            let stored = ciphers(Some(cipher)).sealed(&Parameters::new().with("a", "x"));
            let text: String = serde_json::from_str(stored.get("a").unwrap().get()).unwrap();
            let bytes = STANDARD.decode(text).unwrap();
            assert_eq!(bytes[..LENGTH], [0, 0, 0, length]);
            // The nonce, the text with its quotes, and the tag.
            assert_eq!(bytes.len(), LENGTH + usize::from(length) + 3 + 16);
        }
        assert_eq!(format!("{:?}", ciphers(Some(Cipher::Aes128))), "Ciphers(Some(Aes128))");
    }

    /// Made by OpenSSL, of the nonce 0, 1, 2, …: that no other implementation reads a stored value otherwise.
    #[test]
    fn what_another_implementation_sealed_is_opened() {
        for (cipher, sealed) in [
            ("aes-128", "AAAADAABAgMEBQYHCAkKC2N4rJxMuB0iXF/WE+IiRAlXswCRjfXIPVp9nJf3bA=="),
            (
                "aes-256",
                "AAAAgAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj9AQUJDREVG\
                 R0hJSktMTU5PUFFSU1RVVldYWVpbXF1eX2BhYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ent8fX5/N7mY4zQljQV//H+aRtvOz6Le\
                 RDNObjyLPIUHBNZ/",
            ),
        ] {
            let arguments = json::raw(&serde_json::json!({ "a": sealed }));
            let named = BTreeMap::from([("a".to_owned(), cipher.to_owned())]);
            let opened = ciphers(None).opened(&arguments, &named).unwrap();
            assert_eq!(opened.get(), r#"{"a":{"a":[1,"ü"]}}"#);
        }
    }
}
