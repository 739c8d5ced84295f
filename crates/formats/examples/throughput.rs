//! Events per second and core for finding three fields of a demo event and putting base64 texts in
//! their place: `cargo run --release -p penstock-formats --example throughput`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use penstock_formats::{
    EditBuffer, Encoding, FieldPath, Fields, Found, Limits, Payload, Scalar, Schema, avro,
};

const SCHEMA: &str = include_str!("../tests/data/demo-1.0.2.avsc");
const EVENT: &str = r#"{"strmMeta":{"eventContractRef":"streammachine/example/1.3.0","nonce":1234567,"timestamp":1700000000000,"keyLink":null,"billingId":"bill-0001","consentLevels":[0,1,2,3]},"uniqueIdentifier":"user-0123456789@example.com","consistentValue":"session-0123456789","someSensitiveValue":"a sensitive value","notSensitiveValue":"not sensitive"}"#;
const CIPHERTEXT: &str = "AQAAAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUm";
const EVENTS: u32 = 1_000_000;

fn measure(what: &str, mut event: impl FnMut() -> usize) {
    let start = Instant::now();
    let mut bytes = 0;
    for _ in 0..EVENTS {
        bytes += black_box(event());
    }
    let seconds = start.elapsed().as_secs_f64();
    #[allow(clippy::print_stdout)] // What the example is for.
    {
        println!(
            "{what:40} {:6.0} ns/event  {:5.2} M events/s  {:6.0} MB/s",
            seconds * 1e9 / f64::from(EVENTS),
            f64::from(EVENTS) / seconds / 1e6,
            bytes as f64 / seconds / 1e6
        );
    }
}

#[derive(Default)]
struct Buffers {
    found: Found,
    edits: EditBuffer,
    out: Vec<u8>,
}

fn splice(fields: &Fields, payload: &Payload, buffers: &mut Buffers) -> usize {
    let mut payload = payload.clone();
    let Buffers { found, edits, out } = buffers;
    let mut edits = edits.begin();
    if payload.find(fields, found).is_ok() {
        for slot in found.slots() {
            black_box(slot.scalar(payload.bytes()).ok());
            let _ = slot.replace(fields, &Scalar::Str(CIPHERTEXT.into()), &mut edits);
        }
    }
    if payload.edit(found, edits).is_err() {
        return 0;
    }
    out.clear();
    payload.write_to(out);
    payload.bytes().len()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let schema = Arc::new(Schema::avro(SCHEMA, &[])?);
    let paths = ["uniqueIdentifier", "consistentValue", "someSensitiveValue"]
        .map(FieldPath::parse)
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?;
    let mut bytes = Vec::new();
    avro::from_json(&schema, EVENT.as_bytes(), &mut bytes)?;
    let binary = Payload::new(bytes.clone(), Encoding::Registered(Arc::clone(&schema)));
    let text = Payload::new(EVENT.as_bytes(), Encoding::Json);
    let binary_fields = Fields::compile(&schema, &paths)?;
    let text_fields = Fields::schemaless_json(&paths);
    let mut found = Found::new();
    let mut buffers = Buffers::default();

    measure("Avro: find", || {
        let _ = binary_fields.find(&bytes, &mut found);
        bytes.len()
    });
    measure("Avro: find, replace, write", || {
        splice(&binary_fields, &binary, &mut buffers)
    });
    measure("Avro: find and check all", || {
        let _ = binary_fields.find_checked(&bytes, &mut found, &Limits::default());
        bytes.len()
    });
    measure("JSON: find", || {
        let _ = text_fields.find(EVENT.as_bytes(), &mut found);
        EVENT.len()
    });
    measure("JSON: find, replace, write", || {
        splice(&text_fields, &text, &mut buffers)
    });
    measure("JSON: find and check all", || {
        let _ = text_fields.find_checked(EVENT.as_bytes(), &mut found, &Limits::default());
        EVENT.len()
    });
    measure("JSON to Avro", || {
        buffers.out.clear();
        let _ = avro::from_json(&schema, EVENT.as_bytes(), &mut buffers.out);
        EVENT.len()
    });
    measure("Avro to JSON", || {
        buffers.out.clear();
        let _ = binary.to_json(&mut buffers.out);
        bytes.len()
    });
    Ok(())
}
