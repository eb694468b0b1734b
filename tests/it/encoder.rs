//! The encoder of sentences against transformers, on a small random BERT (`scripts/reference/tiny_bert.py`).

use pipe::model::Encoder;

use crate::model::fixtures::{difference, golden, ids, tensor, wide};

#[test]
fn a_bert_gives_the_embeddings_of_transformers_alone_and_in_a_batch() {
    let encoder = Encoder::load(&golden("encoder")).unwrap();
    assert_eq!(encoder.max_tokens(), 32);
    let expect = |name: String| tensor(&golden("encoder/expected.safetensors"), &name);
    let rows: Vec<Vec<u32>> = (0..5).map(|row| ids(&expect(format!("ids{row}")))).collect();
    let together = encoder.embed(&rows).unwrap();
    for (index, (row, embedding)) in rows.iter().zip(&together).enumerate() {
        let expected = expect(format!("embedding{index}"));
        let off = difference(wide(embedding), expected);
        assert!(off < 1e-5, "{} tokens: {off} off", row.len());
        let alone = encoder.embed(std::slice::from_ref(row)).unwrap().remove(0);
        let off = difference(wide(&alone), wide(embedding));
        assert!(off < 1e-6, "{} tokens: {off} from being embedded with others", row.len());
    }
    let too_long = vec![vec![1; 33]];
    assert!(encoder.embed(&too_long).unwrap_err().to_string().contains("expected at most `32`"));
}
