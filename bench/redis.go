package main

import (
	"fmt"
	"net"
	"regexp"
	"strconv"
	"time"
)

// redisUse is what Redis has used so far.
type redisUse struct {
	cpu   time.Duration
	bytes int64 // in and out
}

var redisBytesLine = regexp.MustCompile(`(?m)^total_net_(?:in|out)put_bytes:(\d+)`)

func (t *target) redisUse() (use redisUse) {
	if t.redis == nil {
		return use
	}
	use.cpu = t.redis.cpu()
	for _, found := range redisBytesLine.FindAllSubmatch(redisStats(t.redis.port), 2) {
		n, _ := strconv.ParseInt(string(found[1]), 10, 64)
		use.bytes += n
	}
	return use
}

// redisStats is Redis' own account; QUIT makes it hang up behind the answer.
func redisStats(port int) (stats []byte) {
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Second))
	fmt.Fprint(conn, "INFO stats\r\nQUIT\r\n")
	var chunk [4096]byte
	for {
		n, err := conn.Read(chunk[:])
		stats = append(stats, chunk[:n]...)
		if err != nil {
			return stats
		}
	}
}
