//! The lists that loops go over. Nearly all of them are parts of the object, so that their elements need no copies.

use super::Scope;
use crate::jmespath::{self, Dialect, Expression, Slot};
use crate::kyverno::variables::{Data, QueryError};
use serde_json::Value;
use std::rc::Rc;

/// The expression for a list.
#[derive(Debug)]
pub(in crate::kyverno) struct List {
    text: String,
    /// The same about the object alone, if it looks at nothing else.
    of_object: Option<Expression>,
}

impl List {
    /// What is malformed is reported when it is evaluated, as Kyverno does it.
    pub(in crate::kyverno) fn new(text: &str) -> List {
        let parsed = Expression::parse(text.trim(), Dialect::Kyverno).ok();
        let of_object = parsed.and_then(|expression| expression.within(["request", "object"]));
        List { text: text.to_owned(), of_object }
    }
}

impl<'e> Scope<'e> {
    /// The elements of a list; what is none is its only element.
    pub(in crate::kyverno) fn elements(&mut self, list: &'e List) -> Result<Vec<Slot<'e>>, QueryError> {
        self.load(&list.text)?;
        if let (Some(expression), Some(object)) = (&list.of_object, self.unchanged_object()) {
            let context = jmespath::Context::new(self.world.environment);
            let elements = expression.elements(object, &context)?;
            return Ok(elements.into_iter().map(Slot::from).collect());
        }
        let elements = match self.query(&list.text)? {
            Value::Array(elements) => elements,
            single => vec![single],
        };
        Ok(elements.into_iter().map(|element| Slot::Shared(Rc::new(element))).collect())
    }

    /// `request.object`, unless a variable has changed it.
    fn unchanged_object(&mut self) -> Option<&'e Value> {
        match self.root().get("request") {
            Some(Slot::Object(request)) => match request.get("object") {
                Some(Slot::Borrowed(object)) => Some(object),
                _ => None,
            },
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jmespath::Offline;
    use crate::jmespath::Overlay;
    use crate::kyverno::lookup::NoLookup;
    use crate::kyverno::scope::{Expressions, World};
    use serde_json::json;

    fn root(object: &Value) -> Overlay<'_> {
        let mut request = Overlay::default();
        request.insert("object", Slot::Borrowed(object));
        let mut root = Overlay::default();
        root.insert("request", Slot::Object(request));
        root
    }

    fn scope<'e>(object: &'e Value, expressions: &'e Expressions) -> Scope<'e> {
        let world = World { lookup: &NoLookup, environment: &Offline, expressions, namespace: "" };
        Scope::new(world, Box::new(|| root(object)), object, "CREATE")
    }

    /// Whatever way a list is found, its elements and its errors are those of the plain query.
    #[test]
    fn elements_are_those_of_the_query() {
        let object = json!({"kind": "Pod", "spec": {
            "initContainers": [{"name": "a", "ports": [1, 2]}], "containers": [{"name": "b"}, null, {"name": "c"}],
            "volumes": {"x": {"name": "v"}}, "none": null,
        }});
        let texts = [
            "request.object.spec.[ephemeralContainers, initContainers, containers][]",
            " request.object.spec.containers ",
            "request.object.spec.containers[?name == 'c'].name",
            "request.object.spec.containers[*].name | [0]",
            "request.object.spec.containers[1:]",
            "request.object.spec.initContainers[].ports[]",
            "request.object.spec.volumes.*",
            "request.object.spec.volumes.* | [].to_string(@)",
            "request.object",
            "request.object.kind",
            "request.object.spec.none",
            "request.object.spec.missing",
            "request.object.spec.missing[]",
            "request.object.spec.containers[].{name: name}",
            "request.object.spec.containers || request.object.spec.volumes",
            "keys(request.object.spec)",
            "request.missing[]",
            "request",
            "request.object.spec.[",
            "",
        ];
        for changed in [false, true] {
            for text in texts {
                let (expressions, list) = (Expressions::default(), List::new(text));
                let mut scope = scope(&object, &expressions);
                if changed {
                    scope.set_variable("request.object.spec.containers", &json!([7]));
                }
                let found = scope
                    .elements(&list)
                    .map(|elements| elements.iter().map(Slot::to_value).collect::<Vec<_>>());
                let queried = scope.query(text).map(|value| match value {
                    Value::Array(values) => values,
                    single => vec![single],
                });
                assert_eq!(found, queried, "{text:?}, changed: {changed}");
            }
        }
    }

    #[test]
    fn parts_of_the_object_are_not_copied() {
        let object = json!({"spec": {"containers": [{"name": "a"}]}});
        let expressions = Expressions::default();
        let list = List::new("request.object.spec.[initContainers, containers][]");
        let mut scope = scope(&object, &expressions);
        let elements = scope.elements(&list).unwrap();
        assert!(
            matches!(elements[..], [Slot::Borrowed(element)] if std::ptr::eq(element, &object["spec"]["containers"][0]))
        );
    }
}
