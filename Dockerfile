# syntax=docker/dockerfile:1
# A static binary on an empty image: no shell, no libc, no package to update.

FROM rust:1-bookworm AS build
# `--build-arg TRAINED=1` asks the build what a request does, and builds it for that (bench/README.md): it takes twice as long, and
# two cores that are like those on which it will run.
ARG TRAINED
RUN if [ -n "$TRAINED" ]; then \
        apt-get update && apt-get install -y --no-install-recommends nginx nghttp2-client python3 wrk \
        && rustup component add llvm-tools; \
    fi
WORKDIR /src
COPY . .
# Naming the target, though it is the machine's own, keeps `crt-static` off build scripts and procedural macros, which
# have to be dynamic. It is the machine's own on every architecture, so `docker buildx --platform` needs nothing more.
ENV RUSTFLAGS="-C target-feature=+crt-static"
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    target="$(rustc -vV | sed -n 's/^host: //p')" \
    && if [ -n "$TRAINED" ]; then bench/train.py --target-dir target; \
       else cargo build --release --locked --bin sidekey --target "$target"; fi \
    && install -D "target/$target/release/sidekey" /image/sidekey \
    && install -d /image/etc/sidekey \
    && install -d -m 1777 /image/tmp

FROM scratch
LABEL org.opencontainers.image.title="sidekey" \
      org.opencontainers.image.description="Outbound authenticating reverse proxy: apps make the calls, sidekey holds the keys" \
      org.opencontainers.image.licenses="Apache-2.0 OR MIT"
# /tmp is for `sidekey demo` alone.
COPY --from=build /image/ /
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/sidekey"]
CMD ["run"]
