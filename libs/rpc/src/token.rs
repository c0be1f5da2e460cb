//! Identity tokens of the mesh: JWTs signed with Ed25519 (RFC 8037), minted by a service and verified by every other.
//!
//! Two shapes. The gateway speaks for a user: no `act`. A service that works for a user says so: `act` is its own name,
//! the same as `iss`. Nobody else's signature counts, and only the gateway may speak for a user without acting.
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use copydesk_types::{RunId, Scopes, TenantId};
use moka::sync::Cache;
use ring::signature::{self, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use crate::Caller;

/// The one issuer that may speak for users without acting for them.
pub(crate) const USER_ISSUER: &str = "gateway";
/// Clocks of two hosts may differ by this much.
const LEEWAY_SECONDS: u64 = 5;

/// Why a token is refused. The caller is told no more than "bad credential".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token of ours.
    #[error("is malformed")]
    Malformed,
    /// Signed by nobody we trust.
    #[error("has an unknown issuer")]
    UnknownIssuer,
    /// The signature does not fit.
    #[error("has a bad signature")]
    BadSignature,
    /// Its time is over.
    #[error("has expired")]
    Expired,
    /// Meant for another service.
    #[error("is for another audience")]
    WrongAudience,
    /// The issuer may not say this.
    #[error("claims more than its issuer may")]
    NotAllowed,
    /// A key that cannot be used.
    #[error("the key cannot be read")]
    BadKey,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The service that signed.
    pub iss: String,
    /// The services it is for, or `mesh` for all.
    pub aud: Vec<String>,
    /// Who asked.
    pub sub: String,
    /// Whose data it is.
    pub tenant: TenantId,
    /// What they may do.
    pub scopes: Scopes,
    /// The service that acts; absent for a user's own call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<String>,
    /// The run it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// When it was signed, in seconds since 1970.
    pub iat: u64,
    /// When it ends, in seconds since 1970.
    pub exp: u64,
}

/// A service's private key.
pub struct SigningKey {
    issuer: String,
    pair: Ed25519KeyPair,
}

impl SigningKey {
    /// A new key as PKCS#8 bytes, to be kept in a file that only the service reads.
    pub fn generate() -> Result<Vec<u8>, TokenError> {
        let document = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new());
        document.map(|d| d.as_ref().to_vec()).map_err(|_| TokenError::BadKey)
    }

    /// The key of `issuer`, from PKCS#8 bytes.
    pub fn from_pkcs8(issuer: impl Into<String>, bytes: &[u8]) -> Result<Self, TokenError> {
        let pair = Ed25519KeyPair::from_pkcs8(bytes).map_err(|_| TokenError::BadKey)?;
        Ok(Self { issuer: issuer.into(), pair })
    }

    /// The service that signs with it.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The 32 bytes that others verify with.
    pub fn public_key(&self) -> Vec<u8> {
        self.pair.public_key().as_ref().to_vec()
    }

    /// Signs claims. `iss`, `iat` and `exp` are set here.
    pub fn sign(&self, mut claims: Claims, lifetime: Duration) -> Result<String, TokenError> {
        let now = unix_now();
        claims.iss.clone_from(&self.issuer);
        claims.iat = now;
        claims.exp = now + lifetime.as_secs();
        let header =
            URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{}"}}"#, self.issuer));
        let payload = serde_json::to_vec(&claims).map_err(|_| TokenError::Malformed)?;
        let body = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload));
        let signature = URL_SAFE_NO_PAD.encode(self.pair.sign(body.as_bytes()).as_ref());
        Ok(format!("{body}.{signature}"))
    }
}

/// The public keys that a service believes, by issuer.
#[derive(Debug, Clone, Default)]
pub struct Trust(HashMap<String, Vec<u8>>);

impl Trust {
    /// Believes nobody yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Believes `issuer` by this public key (32 bytes).
    pub fn with(mut self, issuer: impl Into<String>, public_key: Vec<u8>) -> Self {
        self.0.insert(issuer.into(), public_key);
        self
    }
}

/// Verifies tokens for one service; remembers good ones until they end.
#[derive(Clone)]
pub struct Verifier {
    audience: String,
    trust: Arc<Trust>,
    seen: Cache<[u8; 32], Arc<Claims>>,
}

impl Verifier {
    /// Verifies for the service `audience`.
    pub fn new(audience: impl Into<String>, trust: Trust) -> Self {
        let seen = Cache::builder().max_capacity(10_000).time_to_live(Duration::from_secs(120)).build();
        Self { audience: audience.into(), trust: Arc::new(trust), seen }
    }

    /// The identity in a token.
    pub fn verify(&self, token: &str) -> Result<Caller, TokenError> {
        let digest = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
        let key: [u8; 32] = digest.as_ref().try_into().map_err(|_| TokenError::Malformed)?;
        let claims = match self.seen.get(&key) {
            Some(claims) => claims,
            None => {
                let claims = Arc::new(self.read(token)?);
                self.seen.insert(key, claims.clone());
                claims
            }
        };
        if claims.exp + LEEWAY_SECONDS < unix_now() {
            return Err(TokenError::Expired);
        }
        Ok(Caller {
            tenant: claims.tenant,
            principal: claims.sub.clone(),
            scopes: claims.scopes.clone(),
            actor: claims.act.clone(),
            run: claims.run,
        })
    }

    fn read(&self, token: &str) -> Result<Claims, TokenError> {
        let (body, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (_, payload) = body.split_once('.').ok_or(TokenError::Malformed)?;
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError::Malformed);
        let claims: Claims = serde_json::from_slice(&decode(payload)?).map_err(|_| TokenError::Malformed)?;
        // The key is chosen by the claimed issuer and the algorithm is fixed: the header decides nothing.
        let public = self.trust.0.get(&claims.iss).ok_or(TokenError::UnknownIssuer)?;
        UnparsedPublicKey::new(&signature::ED25519, public)
            .verify(body.as_bytes(), &decode(signature)?)
            .map_err(|_| TokenError::BadSignature)?;
        if !claims.aud.iter().any(|a| *a == self.audience || a == "mesh") {
            return Err(TokenError::WrongAudience);
        }
        let allowed = match &claims.act {
            Some(actor) => *actor == claims.iss,
            None => claims.iss == USER_ISSUER,
        };
        if allowed { Ok(claims) } else { Err(TokenError::NotAllowed) }
    }
}

pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(issuer: &str) -> SigningKey {
        SigningKey::from_pkcs8(issuer, &SigningKey::generate().expect("key")).expect("key")
    }

    fn claims(act: Option<&str>) -> Claims {
        Claims {
            iss: String::new(),
            aud: vec!["retrieval".to_owned()],
            sub: "key_1".to_owned(),
            tenant: TenantId::from_u128(7),
            scopes: Scopes::all(),
            act: act.map(str::to_owned),
            run: None,
            iat: 0,
            exp: 0,
        }
    }

    #[test]
    fn believes_only_whom_it_should() {
        let (gateway, learning, stranger) = (key("gateway"), key("learning"), key("gateway"));
        let trust =
            Trust::new().with("gateway", gateway.public_key()).with("learning", learning.public_key());
        let verifier = Verifier::new("retrieval", trust);
        let minute = Duration::from_secs(60);
        let verify = |key: &SigningKey, c: Claims, life| verifier.verify(&key.sign(c, life).expect("signed"));

        assert_eq!(verify(&gateway, claims(None), minute).map(|c| c.actor), Ok(None));
        assert_eq!(
            verify(&learning, claims(Some("learning")), minute).map(|c| c.actor),
            Ok(Some("learning".to_owned()))
        );
        assert_eq!(verify(&learning, claims(None), minute), Err(TokenError::NotAllowed));
        assert_eq!(verify(&learning, claims(Some("gateway")), minute), Err(TokenError::NotAllowed));
        assert_eq!(verify(&stranger, claims(None), minute), Err(TokenError::BadSignature));
        assert_eq!(verify(&key("elsewhere"), claims(None), minute), Err(TokenError::UnknownIssuer));
        let other = Claims { aud: vec!["learning".to_owned()], ..claims(None) };
        assert_eq!(verify(&gateway, other, minute), Err(TokenError::WrongAudience));
    }

    #[test]
    fn refuses_altered_and_expired_tokens() {
        let gateway = key("gateway");
        let verifier = Verifier::new("retrieval", Trust::new().with("gateway", gateway.public_key()));
        let token = gateway.sign(claims(None), Duration::from_secs(60)).expect("signed");
        let parts: Vec<&str> = token.split('.').collect();
        let mut forged: Claims =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).expect("b64")).expect("json");
        forged.tenant = TenantId::from_u128(8);
        let payload = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&forged).expect("json"));
        let altered = format!("{}.{payload}.{}", parts[0], parts[2]);
        assert_eq!(verifier.verify(&altered), Err(TokenError::BadSignature));
        let mut old = forged.clone();
        old.exp = unix_now() - 60;
        let payload = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&old).expect("json"));
        let body = format!("{}.{payload}", parts[0]);
        let sig = URL_SAFE_NO_PAD.encode(gateway.pair.sign(body.as_bytes()).as_ref());
        assert_eq!(verifier.verify(&format!("{body}.{sig}")), Err(TokenError::Expired));
        for bad in ["", ".", "..", "a.b.c", "a.b", &token[..token.len() - 4]] {
            assert!(verifier.verify(bad).is_err(), "{bad}");
        }
    }
}
