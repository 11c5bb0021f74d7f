# The compiler of Go actions: `docker run -i IMAGE -compile MAIN <SOURCE >ARCHIVE`. The action proxy, one static
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
 && apt-get install -y --no-install-recommends golang-1.24-go \
 && ln -s /usr/lib/go-1.24/bin/go /usr/local/bin/go \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/* /usr/share/doc/* /usr/share/man/* /usr/share/locale/* /var/log/*
ENV GOCACHE=/usr/local/lib/oxwhisk/cache
# The standard library is compiled once, here, with the flags that actions are compiled with.
RUN CGO_ENABLED=0 go build -trimpath std
COPY runtimes/golang/compile runtimes/golang/launcher.go /usr/local/lib/oxwhisk/
COPY --from=build /action-proxy /usr/local/bin/action-proxy
USER 1001:1001
ENV HOME=/tmp
ENTRYPOINT ["action-proxy", "compile", "--with", "/usr/local/lib/oxwhisk/compile", \
            "--mark", "oxwhisk/action-golang-v1.24", "--"]
