//! Finds the texts at which an embedding model fails, by halves, so that they
//! hold up no other.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::types::Embed;

/// Times to try a text alone before it is left out: a failure may have come of
/// what ran beside it.
const TRIES: usize = 3;

/// A text that any model can embed. When it fails too, it is not the texts.
const PROBE: &str = "a";

/// A vector for each text, or why there is none. A model that panics has failed.
pub(crate) fn embed(model: &dyn Embed, texts: &[&str]) -> Result<Vec<Vec<f32>>, String> {
    match catch_unwind(AssertUnwindSafe(|| model.embed(texts))) {
        Ok(Ok(vectors)) if vectors.len() == texts.len() => Ok(vectors),
        Ok(Ok(vectors)) => {
            Err(format!("the model gave {} vectors for {} texts", vectors.len(), texts.len()))
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the model panicked".into()),
    }
}

/// The same, and where the model fails at some texts only, what it says of each.
pub(crate) fn embed_each(
    model: &dyn Embed,
    texts: &[&str],
) -> Result<Vec<Result<Vec<f32>, String>>, String> {
    match embed(model, texts) {
        Ok(vectors) => Ok(vectors.into_iter().map(Ok).collect()),
        Err(_) => {
            embed(model, &[PROBE])?;
            Ok(by_halves(model, texts))
        }
    }
}

fn by_halves(model: &dyn Embed, texts: &[&str]) -> Vec<Result<Vec<f32>, String>> {
    if let [text] = texts {
        return vec![alone(model, text)];
    }
    let (left, right) = texts.split_at(texts.len() / 2);
    let half = |half| match embed(model, half) {
        Ok(vectors) => vectors.into_iter().map(Ok).collect(),
        Err(_) => by_halves(model, half),
    };
    [half(left), half(right)].concat()
}

fn alone(model: &dyn Embed, text: &str) -> Result<Vec<f32>, String> {
    let mut last = Err("the model was not asked".to_owned());
    for _ in 0..TRIES {
        last = embed(model, &[text]).and_then(|vectors| {
            vectors.into_iter().next().ok_or_else(|| "the model gave no vector".to_owned())
        });
        if last.is_ok() {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::BoxError;

    /// Fails at `bad`, panics at `worse`.
    struct Picky;

    impl Embed for Picky {
        fn dimensions(&self) -> usize {
            1
        }

        fn name(&self) -> &str {
            "picky"
        }

        fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, BoxError> {
            assert!(!texts.contains(&"worse"));
            if texts.contains(&"bad") {
                return Err("bad".into());
            }
            Ok(texts.iter().map(|text| vec![text.len() as f32]).collect())
        }
    }

    #[test]
    fn texts_at_which_a_model_fails_take_no_other_with_them() {
        let found = embed_each(&Picky, &["one", "bad", "three", "worse", "five"]).unwrap();
        let made: Vec<_> = found.iter().map(|vector| vector.as_ref().ok().cloned()).collect();
        assert_eq!(made, [Some(vec![3.0]), None, Some(vec![5.0]), None, Some(vec![4.0])]);
        assert_eq!(found[1], Err("bad".to_owned()));
        assert_eq!(found[3], Err("the model panicked".to_owned()));
    }

    #[test]
    fn a_model_that_fails_at_everything_says_nothing_of_the_texts() {
        struct Broken;
        impl Embed for Broken {
            fn dimensions(&self) -> usize {
                1
            }
            fn name(&self) -> &str {
                "broken"
            }
            fn embed(&self, _: &[&str]) -> Result<Vec<Vec<f32>>, BoxError> {
                Err("no memory".into())
            }
        }
        assert_eq!(embed_each(&Broken, &["one", "two"]), Err("no memory".to_owned()));
    }
}
