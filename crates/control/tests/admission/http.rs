//! What is no review gets the right status and plain words, in time.

use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::{Method, Request, StatusCode, header};
use serde_json::json;

use crate::world::{Made, World, post, request};

const PATHS: [&str; 5] = [
    "/validate/policies/fail",
    "/validate/policies/ignore/15",
    "/validate/standards/enforce",
    "/validate/standards/advise",
    "/validate/objects",
];

fn review() -> String {
    let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop"}});
    let request = request(&json!({"object": object}));
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).to_string()
}

#[tokio::test]
async fn bodies_that_are_no_review_are_refused() {
    let world = World::new(Made::default());
    let cut = &review()[..200];
    let table: [(&str, StatusCode, &str); 10] = [
        ("", StatusCode::BAD_REQUEST, "not an AdmissionReview: EOF while parsing"),
        ("{}", StatusCode::BAD_REQUEST, "found apiVersion \"\", accepted: admission.k8s.io/v1"),
        ("null", StatusCode::BAD_REQUEST, "not an AdmissionReview"),
        ("[]", StatusCode::BAD_REQUEST, "not an AdmissionReview"),
        (cut, StatusCode::BAD_REQUEST, "not an AdmissionReview: EOF"),
        ("\u{feff}{}", StatusCode::BAD_REQUEST, "not an AdmissionReview"),
        (
            r#"{"apiVersion": "admission.k8s.io/v1beta1", "request": null}"#,
            StatusCode::BAD_REQUEST,
            "found apiVersion \"admission.k8s.io/v1beta1\"",
        ),
        (
            r#"{"apiVersion": "admission.k8s.io/v1", "response": {"uid": "x"}}"#,
            StatusCode::BAD_REQUEST,
            "the AdmissionReview has no request",
        ),
        (
            r#"{"apiVersion": "admission.k8s.io/v1", "request": {"uid": "x"}}"#,
            StatusCode::BAD_REQUEST,
            "missing field `kind`",
        ),
        (
            r#"{"apiVersion": "admission.k8s.io/v1", "request": {"uid": 7}}"#,
            StatusCode::BAD_REQUEST,
            "invalid type: integer `7`",
        ),
    ];
    for (body, status, text) in table {
        for path in PATHS {
            let (found, answer) = world.send(post(path, body.to_owned())).await;
            let answer = String::from_utf8(answer).unwrap();
            assert_eq!(found, status, "{path}: {answer}");
            assert!(answer.contains(text), "{path}: {answer}");
        }
    }
    assert_eq!(world.send(post(PATHS[0], review())).await.0, StatusCode::OK);
    assert!(
        world.scraped().contains(r#"meshward_review_errors_total{kind="malformed"} 35"#),
        "{}",
        world.scraped()
    );
}

fn build(method: Method, path: &str, kind: Option<&str>, body: Body) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    let request = kind.into_iter().fold(request, |request, kind| request.header(header::CONTENT_TYPE, kind));
    request.body(body).unwrap()
}

#[tokio::test]
async fn the_rest_of_http_is_refused_in_plain_words() {
    let world = World::new(Made::default());
    let json = Some("application/json");
    let posted = |path: &str| build(Method::POST, path, json, Body::from(review()));
    let table = [
        (build(Method::GET, PATHS[0], json, Body::empty()), 405, "found GET, accepted: POST"),
        (build(Method::PUT, PATHS[4], json, Body::from(review())), 405, "found PUT, accepted: POST"),
        (posted("/"), 404, "there is no webhook \"/\""),
        (posted("/validate/policies/maybe"), 404, "/validate/policies/maybe"),
        (posted("/validate/policies/fail/31"), 404, "there is no webhook"),
        (posted("/validate/policies/fail/1/conditions"), 404, "there is no webhook"),
        (posted("/validate/policies/fail/1/2/3"), 404, "there is no webhook"),
        (posted("/validate/objects/"), 404, "there is no webhook"),
        (build(Method::POST, PATHS[0], None, Body::from(review())), 415, "found Content-Type \"\""),
        (
            build(Method::POST, PATHS[0], Some("text/plain"), Body::from(review())),
            415,
            "accepted: application/json",
        ),
        (
            build(Method::POST, PATHS[0], Some("Application/JSON; charset=utf-8"), Body::from(review())),
            200,
            "7a",
        ),
        (posted("/validate/objects?timeout=soon"), 400, "timeout=soon"),
        (posted("/validate/objects?timeout=-3s"), 400, "a duration such as 10s"),
        (posted("/validate/objects?timeout=5s"), 200, "7a"),
    ];
    for (request, status, text) in table {
        let told = format!("{} {}", request.method(), request.uri());
        let (found, answer) = world.send(request).await;
        let answer = String::from_utf8(answer).unwrap();
        assert_eq!(found.as_u16(), status, "{told}: {answer}");
        assert!(answer.contains(text), "{told}: {answer}");
    }
}

#[tokio::test]
async fn large_bodies_are_refused_before_they_are_read() {
    let world = World::new(Made::default());
    const MIB: usize = 1 << 20;
    let announced = Request::post(PATHS[0])
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONTENT_LENGTH, (8 * MIB).to_string())
        .body(Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>()))
        .unwrap();
    let (status, text) = world.send(announced).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{}", String::from_utf8_lossy(&text));
    let endless = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from(vec![b' '; MIB])));
    let (status, _) = world.send(post(PATHS[0], Body::from_stream(endless))).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let mut largest = review();
    largest.push_str(&" ".repeat(7 * MIB - largest.len()));
    assert_eq!(world.send(post(PATHS[0], largest.clone())).await.0, StatusCode::OK);
    largest.push(' ');
    assert_eq!(world.send(post(PATHS[0], largest)).await.0, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn slow_and_broken_clients_are_let_go() {
    let world = World::new(Made::default());
    let silent = || Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
    let began = Instant::now();
    let (status, text) = world.send(post("/validate/objects?timeout=1s", silent())).await;
    let text = String::from_utf8(text).unwrap();
    assert_eq!(status, StatusCode::REQUEST_TIMEOUT, "{text}");
    assert!(text.contains("did not arrive within"), "{text}");
    assert!(
        (Duration::from_millis(500)..Duration::from_secs(1)).contains(&began.elapsed()),
        "{:?}",
        began.elapsed()
    );
    let broken = futures::stream::iter([Ok(Bytes::from("{")), Err(std::io::Error::other("reset"))]);
    let (status, text) = world.send(post(PATHS[0], Body::from_stream(broken))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(String::from_utf8(text).unwrap().contains("the body ended early"));
}
