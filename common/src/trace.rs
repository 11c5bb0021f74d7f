//! One trace a request, from the controller over the bus to the container, in W3C's form (`traceparent`, `tracestate`).
//!
//! Spans are begun and ended by hand at the few places that matter, and handed along explicitly: they cross tasks,
//! the bus and processes, which an implicit context does not. Who brings a trace has it passed on even where
//! nothing is exported. A request that nobody traces carries nothing, and costs a look for a header. Whether a
//! trace is recorded is decided once, by whoever begins it.

pub mod export;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, Span};

use self::export::Queue;
use crate::config::tracing::OtlpConfig;
use crate::shutdown::Shutdown;

/// The header of a trace, and that of what vendors add to it.
pub const TRACEPARENT: &str = "traceparent";
/// See [`TRACEPARENT`].
pub const TRACESTATE: &str = "tracestate";

/// Who begins traces and takes them up. The default one exports nothing.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<SdkTracer>);

impl Tracer {
    /// That of a role, such as `controller`, in a process that is called `instance`, as the settings say. What is
    /// exported is sent by a task of `tasks`, which sends the rest when they are told to stop.
    pub fn start(config: &OtlpConfig, role: &str, instance: &str, tasks: &Shutdown) -> anyhow::Result<Self> {
        if config.endpoint.is_empty() {
            return Ok(Self::default());
        }
        let name = match config.service_name.as_str() {
            "" => format!("oxwhisk-{role}"),
            name => name.to_owned(),
        };
        let attributes = [
            KeyValue::new("service.instance.id", instance.to_owned()),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        ];
        let resource = Resource::builder().with_service_name(name).with_attributes(attributes).build();
        let queue = Queue::start(config, &resource, tasks)?;
        let by_rate = Sampler::TraceIdRatioBased(config.sample_rate.0.min(1.0));
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::ParentBased(Box::new(by_rate)))
            .with_resource(resource)
            .with_span_processor(queue)
            .build();
        Ok(Self(Some(provider.tracer("oxwhisk"))))
    }

    /// The trace of a request that comes from outside: the one that its headers name, else a new one, if any.
    pub fn request<'a>(&self, header: impl Fn(&'static str) -> Option<&'a str>) -> Trace {
        match header(TRACEPARENT) {
            Some(traceparent) => match read(traceparent, header(TRACESTATE)) {
                Some(context) => self.under(context),
                None => self.anew(),
            },
            None => self.anew(),
        }
    }

    /// The trace that a message carries, if it carries one.
    pub fn carried(&self, headers: Option<&BTreeMap<String, String>>) -> Trace {
        let context = headers
            .and_then(|headers| read(headers.get(TRACEPARENT)?, headers.get(TRACESTATE).map(String::as_str)));
        context.map(|context| self.under(context)).unwrap_or_default()
    }

    fn anew(&self) -> Trace {
        let root =
            |tracer: &SdkTracer| At { context: SpanContext::empty_context(), tracer: Some(tracer.clone()) };
        Trace(self.0.as_ref().map(|tracer| Arc::new(root(tracer))))
    }

    /// What is not sampled above is not recorded here.
    fn under(&self, context: SpanContext) -> Trace {
        let tracer = self.0.clone().filter(|_| context.is_sampled());
        Trace(Some(Arc::new(At { context, tracer })))
    }
}

fn read(traceparent: &str, tracestate: Option<&str>) -> Option<SpanContext> {
    struct Headers<'a>(&'a str, Option<&'a str>);
    impl Extractor for Headers<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            match key {
                TRACEPARENT => Some(self.0),
                TRACESTATE => self.1,
                _ => None,
            }
        }
        fn keys(&self) -> Vec<&str> {
            vec![TRACEPARENT, TRACESTATE]
        }
    }
    let headers = Headers(traceparent, tracestate);
    let found = TraceContextPropagator::new().extract_with_context(&Context::new(), &headers);
    let context = found.span().span_context().clone();
    context.is_valid().then_some(context)
}

/// A place in a trace: that of the span which what follows is below. The default one is in none.
#[derive(Clone, Debug, Default)]
pub struct Trace(Option<Arc<At>>);

#[derive(Debug)]
struct At {
    /// Of the span above; empty where a trace begins.
    context: SpanContext,
    /// Records what is below, if that is wanted.
    tracer: Option<SdkTracer>,
}

impl Trace {
    /// Whether there is a trace, recorded or not.
    pub fn is_active(&self) -> bool {
        self.0.is_some()
    }

    /// Begins a span of something that is done here.
    pub fn span(&self, name: &'static str) -> Open {
        self.begin(name, SpanKind::Internal)
    }

    /// Begins the span of a request that came from outside.
    pub fn server(&self, name: impl Into<Cow<'static, str>>) -> Open {
        self.begin(name, SpanKind::Server)
    }

    /// Begins the span of a request that is sent, and waited for.
    pub fn client(&self, name: &'static str) -> Open {
        self.begin(name, SpanKind::Client)
    }

    /// Begins the span of a message that is put on the bus.
    pub fn producer(&self, name: &'static str) -> Open {
        self.begin(name, SpanKind::Producer)
    }

    /// Begins the span of a message that was taken from the bus.
    pub fn consumer(&self, name: &'static str) -> Open {
        self.begin(name, SpanKind::Consumer)
    }

    fn begin(&self, name: impl Into<Cow<'static, str>>, kind: SpanKind) -> Open {
        let Some(at) = &self.0 else { return Open::default() };
        let Some(tracer) = &at.tracer else { return Open { span: None, trace: self.clone() } };
        let above = match at.context.is_valid() {
            true => Context::new().with_remote_span_context(at.context.clone()),
            false => Context::new(),
        };
        let span = tracer.build_with_context(SpanBuilder::from_name(name).with_kind(kind), &above);
        let recorded = span.is_recording();
        let at = At { context: span.span_context().clone(), tracer: recorded.then(|| tracer.clone()) };
        Open { span: recorded.then(|| Box::new(span)), trace: Trace(Some(Arc::new(at))) }
    }

    /// The headers that name this place.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, String)> {
        let context = self.0.as_ref().map(|at| &at.context).filter(|context| context.is_valid());
        let parent = context.map(|context| {
            let (trace, span, flags) = (context.trace_id(), context.span_id(), context.trace_flags().to_u8());
            (TRACEPARENT, format!("00-{trace}-{span}-{flags:02x}"))
        });
        let state = context.map(|context| (TRACESTATE, context.trace_state().header()));
        parent.into_iter().chain(state.filter(|(_, state)| !state.is_empty()))
    }

    /// The same as a message carries them.
    pub fn carried(&self) -> Option<BTreeMap<String, String>> {
        self.0.as_ref()?;
        let headers: BTreeMap<_, _> = self.headers().map(|(name, value)| (name.to_owned(), value)).collect();
        (!headers.is_empty()).then_some(headers)
    }
}

/// A span under way. It ends when it is dropped.
#[derive(Debug, Default)]
pub struct Open {
    span: Option<Box<Span>>,
    trace: Trace,
}

impl Open {
    /// The place below it.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// The span, if it is recorded: for whoever describes it at some cost.
    pub fn recorded(&mut self) -> Option<&mut Self> {
        self.span.is_some().then_some(self)
    }

    /// Says something of it.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) -> &mut Self {
        if let Some(span) = &mut self.span {
            span.set_attribute(KeyValue::new(key, value));
        }
        self
    }

    /// Gives it another name.
    pub fn rename(&mut self, name: String) -> &mut Self {
        if let Some(span) = &mut self.span {
            span.update_name(name);
        }
        self
    }

    /// It failed, in this way.
    pub fn fail(&mut self, why: impl Into<Cow<'static, str>>) -> &mut Self {
        if let Some(span) = &mut self.span {
            span.set_status(Status::error(why));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_trace_that_others_began_is_passed_on_though_nothing_is_exported() {
        let tracer = Tracer::default();
        let given = [(TRACEPARENT, PARENT), (TRACESTATE, "a=1,b=2")];
        let trace = tracer.request(|name| given.iter().find(|(of, _)| *of == name).map(|(_, value)| *value));
        let span = trace.span("x");
        let expected = given.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(span.trace().carried(), Some(BTreeMap::from(expected)));
        let message = tracer.carried(span.trace().carried().as_ref());
        let headers: Vec<_> = message.client("x").trace().headers().collect();
        assert_eq!(headers, given.map(|(name, value)| (name, value.to_owned())));
    }

    #[test]
    fn without_one_or_with_a_broken_one_there_is_none() {
        let tracer = Tracer::default();
        for given in [
            None,
            Some(""),
            Some("00-00000000000000000000000000000000-b7ad6b7169203331-01"),
            Some("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x"),
        ] {
            let trace = tracer.request(|name| given.filter(|_| name == TRACEPARENT));
            assert!(!trace.is_active() && trace.carried().is_none(), "{given:?}");
        }
        let of_zipkin = BTreeMap::from([("X-B3-TraceId".to_owned(), "1".to_owned())]);
        assert!(!tracer.carried(Some(&of_zipkin)).is_active());
        assert!(!tracer.carried(None).is_active());
    }

    fn sampling(rate: f64) -> Tracer {
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(rate)));
        Tracer(Some(SdkTracerProvider::builder().with_sampler(sampler).build().tracer("test")))
    }

    fn traceparent(trace: &Trace) -> String {
        trace.headers().next().expect("a trace").1
    }

    #[test]
    fn who_begins_a_trace_decides_whether_it_is_recorded() {
        let parent = |flags: &str| format!("{}{flags}", &PARENT[..PARENT.len() - 2]);
        for (rate, given, recorded) in [
            (1.0, None, true),
            (0.0, None, false),
            (1.0, Some(parent("00")), false),
            (0.0, Some(parent("01")), true),
        ] {
            let trace = sampling(rate).request(|name| given.as_deref().filter(|_| name == TRACEPARENT));
            let mut request = trace.server("GET");
            assert_eq!(request.recorded().is_some(), recorded);
            // Either way it goes on.
            let (above, below) =
                (traceparent(request.trace()), traceparent(request.trace().span("x").trace()));
            assert_eq!(above[..35], below[..35], "one trace");
            assert_eq!(above != below, recorded, "a span below, if it is recorded");
            assert_eq!(below.ends_with("-01"), recorded);
        }
    }
}
