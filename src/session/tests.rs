use super::*;

const KEY: &str = "0123456789abcdef0123456789abcdef";

fn session() -> Session {
    Session {
        id: Uuid::parse("018f4e9e-0000-4000-8000-000000000001").expect("a UUID"),
        user_id: 7,
    }
}

fn keys() -> Keys {
    Keys::new(key(KEY), None)
}

fn key(text: &str) -> Key {
    Key::new(text).expect("the key is long enough")
}

/// Keys after a rotation: the first signs, and both verify.
fn rotated(current: &str, previous: &str) -> Keys {
    Keys::new(key(current), Some(key(previous)))
}

/// Signs an access token that `change` makes invalid.
fn signed_by_hand(change: impl FnOnce(&mut Header, &mut Claims)) -> String {
    let now = Utc::now().timestamp();
    let mut header = Header {
        typ: Some("at+jwt".into()),
        ..Header::default()
    };
    let mut claims = Claims {
        iss: SERVICE.into(),
        aud: SERVICE.into(),
        sub: "7".into(),
        sid: session().id.as_str().to_owned(),
        iat: now,
        exp: now + 60,
    };
    change(&mut header, &mut claims);
    key(KEY).encode(&header, &claims).expect("signs")
}

/// The input is a position in a valid token, a number of characters to remove there, and what to insert.
#[test]
fn fuzz_tokens() {
    let valid = keys().sign(&session(), TokenKind::Access).unwrap();
    let accepts = |token: &str| keys().verify(token, TokenKind::Access).is_ok();
    bolero::check!()
        .with_type::<(u8, u8, String)>()
        .for_each(|(position, removed, inserted)| {
            assert!(!accepts(inserted));
            let start = usize::from(*position).min(valid.len());
            let end = (start + usize::from(*removed)).min(valid.len());
            let mut changed = valid.clone();
            changed.replace_range(start..end, inserted);
            assert_eq!(accepts(&changed), changed == valid, "{changed}");
        });
}

#[test]
fn verifies_its_own_tokens() {
    let token = keys().sign(&session(), TokenKind::Access).expect("signs");
    assert_eq!(keys().verify(&token, TokenKind::Access), Ok(session()));
}

#[test]
fn rejects_a_token_of_the_other_kind() {
    let access = keys().sign(&session(), TokenKind::Access).expect("signs");
    let refresh = keys().sign(&session(), TokenKind::Refresh).expect("signs");
    assert_eq!(
        keys().verify(&access, TokenKind::Refresh),
        Err(Error::TokenInvalid)
    );
    assert_eq!(
        keys().verify(&refresh, TokenKind::Access),
        Err(Error::TokenInvalid)
    );
}

#[test]
fn rejects_a_token_that_expired_a_second_ago() {
    let token = signed_by_hand(|_, claims| {
        claims.exp = Utc::now().timestamp() - 1;
    });
    assert_eq!(
        keys().verify(&token, TokenKind::Access),
        Err(Error::TokenExpired)
    );
}

#[test]
fn rejects_other_algorithms_and_claims() {
    // {"alg":"HS512"} and {"alg":"none"} instead of the real header.
    let good = signed_by_hand(|_, _| {});
    let claims_and_signature = &good[good.find('.').expect("a JWT")..];
    let other = format!("eyJhbGciOiJIUzUxMiJ9{claims_and_signature}");
    let none = format!("eyJhbGciOiJub25lIn0{claims_and_signature}");
    let no_user = signed_by_hand(|_, claims| {
        claims.sub = "admin".into();
    });
    let no_session = signed_by_hand(|_, claims| {
        claims.sid = "1".into();
    });
    for token in [other.as_str(), &none, &no_user, &no_session, "", "a.b.c"] {
        assert_eq!(
            keys().verify(token, TokenKind::Access),
            Err(Error::TokenInvalid),
            "{token}"
        );
    }
}

#[test]
fn rejects_tokens_of_other_services_and_types() {
    let by_hand = signed_by_hand(|_, _| {});
    assert_eq!(keys().verify(&by_hand, TokenKind::Access), Ok(session()));
    for token in [
        signed_by_hand(|header, _| header.typ = None),
        signed_by_hand(|header, _| header.typ = Some("JWT".into())),
        signed_by_hand(|_, claims| claims.iss = "other".into()),
        signed_by_hand(|_, claims| claims.aud = "other".into()),
    ] {
        assert_eq!(
            keys().verify(&token, TokenKind::Access),
            Err(Error::TokenInvalid),
            "{token}"
        );
    }
}

#[test]
fn a_rotation_keeps_every_token_valid_on_every_replica() {
    let (old, new) = (KEY, "fedcba9876543210fedcba9876543210");
    // The steps that the operator's guide names. During each step some
    // replicas have the keys before it and some those after it.
    let steps = [
        Keys::new(key(old), None),
        rotated(old, new),
        rotated(new, old),
    ];
    for step in steps.windows(2) {
        for (signer, verifier) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let token = step[signer].sign(&session(), TokenKind::Refresh);
            let verified = step[verifier].verify(&token.expect("signs"), TokenKind::Refresh);
            assert_eq!(verified, Ok(session()));
        }
    }
    let retired = keys().sign(&session(), TokenKind::Access).expect("signs");
    let last = Keys::new(key(new), None);
    assert_eq!(
        last.verify(&retired, TokenKind::Access),
        Err(Error::TokenInvalid)
    );
}

#[test]
fn tries_every_key_for_an_unknown_key_id() {
    for kid in [None, Some("00000000".to_owned())] {
        let token = signed_by_hand(|header, _| header.kid = kid);
        let keys = rotated("fedcba9876543210fedcba9876543210", KEY);
        assert_eq!(keys.verify(&token, TokenKind::Access), Ok(session()));
    }
}

#[test]
fn reports_the_expiry_of_a_token_of_the_previous_key() {
    let token = signed_by_hand(|_, claims| claims.exp = Utc::now().timestamp() - 1);
    let keys = rotated("fedcba9876543210fedcba9876543210", KEY);
    assert_eq!(
        keys.verify(&token, TokenKind::Access),
        Err(Error::TokenExpired)
    );
}
