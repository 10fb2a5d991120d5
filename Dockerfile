# The image is the static binary and the CA certificates on an empty base.
# scripts/image-check.sh runs these very instructions without Docker.

FROM node:22-bookworm-slim AS client
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY public ./public
RUN npm run build

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
COPY internal/stubs ./internal/stubs
RUN go mod download
COPY . .
COPY --from=client /src/public/dist ./public/dist
RUN make bin/rollcall

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/bin/rollcall /rollcall
USER 65532:65532
ENV PORT=8000
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["/rollcall", "-health"]
ENTRYPOINT ["/rollcall"]
