# The compiler of Rust actions: `docker run -i IMAGE -compile MAIN <SOURCE >ARCHIVE`. The action proxy, one static
# file, is built here or, with OXWHISK_BUILDER=debian:trixie-slim, taken from target/static, where
# `cargo xtask images` puts it. The build context is the root of the repository.
ARG OXWHISK_BUILDER=rust:1.95-slim-trixie
FROM ${OXWHISK_BUILDER} AS build
LABEL oxwhisk.stage="build"
WORKDIR /source
COPY . .
RUN if command -v cargo > /dev/null; then \
      if [ -e extra-ca.crt ]; then export CARGO_HTTP_CAINFO=/source/extra-ca.crt; fi \
      && host="$(rustc -vV | sed -n 's/^host: //p')" \
      && RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --package action-proxy \
           --target "$host" --target-dir target/static \
      && cp "target/static/$host/release/action-proxy" target/static/; \
    fi \
 && cp target/static/action-proxy /action-proxy

FROM debian:trixie-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends cargo librust-serde-json-dev librust-serde-derive-dev \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/* /usr/share/doc/* /usr/share/man/* /usr/share/locale/* /var/log/*
COPY runtimes/rust/compile runtimes/rust/launcher.rs runtimes/rust/launcher.toml runtimes/rust/actions.toml \
     runtimes/rust/config.toml runtimes/rust/sample.rs /usr/local/lib/oxwhisk/
# An action is compiled, and of that is kept what was not its own.
RUN cd /usr/local/lib/oxwhisk && mkdir -p target /tmp/sample/src /tmp/sample/bin \
 && cp sample.rs /tmp/sample/src/exec && ./compile main /tmp/sample/src /tmp/sample/bin \
 && rm -rf target && mv /tmp/sample/target . && rm -rf /tmp/sample sample.rs && cd target/release \
 && rm -rf launcher* deps/launcher* .fingerprint/launcher-* deps/*actions* .fingerprint/actions-*
COPY --from=build /action-proxy /usr/local/bin/action-proxy
USER 1001:1001
ENV HOME=/tmp
ENTRYPOINT ["action-proxy", "compile", "--with", "/usr/local/lib/oxwhisk/compile", \
            "--mark", "oxwhisk/action-rust-v1.85", "--"]
