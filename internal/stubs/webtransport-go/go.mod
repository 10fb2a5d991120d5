module github.com/zishang520/webtransport-go

go 1.26.0

require github.com/quic-go/quic-go v0.57.1

replace github.com/quic-go/quic-go => ../quic-go
