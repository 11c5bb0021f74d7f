# The compiler of Swift actions: `docker run -i IMAGE -compile MAIN <SOURCE >ARCHIVE`. The action proxy, one static
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
 && apt-get install -y --no-install-recommends swiftlang libc6-dev libstdc++-14-dev \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/* /usr/share/doc/* /usr/share/man/* /usr/share/locale/* /var/log/*
COPY runtimes/swift/compile runtimes/swift/launcher.swift runtimes/swift/whisk.swift runtimes/swift/sample.swift \
     /usr/local/lib/oxwhisk/
# An action is compiled, and of that is kept what the compiler has read.
RUN cd /usr/local/lib/oxwhisk && mkdir -p modules /tmp/sample/src /tmp/sample/bin \
 && cp sample.swift /tmp/sample/src/exec && ./compile main /tmp/sample/src /tmp/sample/bin \
 && rm -rf modules && mv /tmp/modules . && chmod -R a+rX modules && rm -rf /tmp/sample sample.swift
COPY --from=build /action-proxy /usr/local/bin/action-proxy
USER 1001:1001
ENV HOME=/tmp
ENTRYPOINT ["action-proxy", "compile", "--with", "/usr/local/lib/oxwhisk/compile", \
            "--mark", "oxwhisk/action-swift-v6.0", "--"]
