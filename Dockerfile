FROM --platform=$BUILDPLATFORM golang:1.26.8-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG TARGETOS TARGETARCH
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags "-s -w" -o /out/snapshotd ./cmd/snapshotd
# A new named volume takes the owner and mode that /data has in the image.
RUN install -d -m 0700 /out/root/data

FROM scratch
COPY --from=build /out/snapshotd /snapshotd
COPY --from=build --chown=65532:65532 /out/root/ /
USER 65532:65532
# It does not start like this: name a tokens file with SNAPSHOTD_TOKENS_FILE, or set
# SNAPSHOTD_INSECURE_NO_AUTH=true if nobody but its clients can reach the container. The
# name that they ask for goes into SNAPSHOTD_ALLOWED_HOSTS.
ENV SNAPSHOTD_LISTEN=0.0.0.0:7420 \
    SNAPSHOTD_BASE_PATH=/data \
    SNAPSHOTD_LOG_FORMAT=json
VOLUME /data
EXPOSE 7420
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s CMD ["/snapshotd", "healthcheck"]
ENTRYPOINT ["/snapshotd"]
