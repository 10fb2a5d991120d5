package redistest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// Cluster is three masters that share the slots.
type Cluster struct{ Nodes []*Server }

// StartCluster starts one and waits until it is whole.
func StartCluster(t testing.TB) *Cluster {
	t.Helper()
	c := &Cluster{}
	for range 3 {
		c.Nodes = append(c.Nodes, Start(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000"))
	}
	for i, node := range c.Nodes {
		from, to := 16384*i/3, 16384*(i+1)/3-1
		node.Do("CLUSTER", "ADDSLOTSRANGE", from, to)
		node.Do("CLUSTER", "SET-CONFIG-EPOCH", i+1)
		if i > 0 {
			node.Do("CLUSTER", "MEET", "127.0.0.1", c.Nodes[0].port)
		}
	}
	for _, node := range c.Nodes {
		node.Await(func(ctx context.Context) error {
			info, err := node.client.ClusterInfo(ctx).Result()
			if err == nil && (!strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_known_nodes:3")) {
				err = errors.New("the cluster is not whole")
			}
			return err
		})
	}
	return c
}

// URL names every node.
func (c *Cluster) URL() string {
	var hosts []string
	for _, node := range c.Nodes {
		hosts = append(hosts, node.Addr())
	}
	return "redis+cluster://" + strings.Join(hosts, ",")
}

// Guarded is a master and its replica, watched by three sentinels.
type Guarded struct {
	Master, Replica *Server
	sentinels       []*Server
}

const masterName = "main"

// StartSentinel starts them and waits until a failover would be possible.
func StartSentinel(t testing.TB) *Guarded {
	t.Helper()
	g := &Guarded{Master: Start(t)}
	g.Replica = Start(t, "--replicaof", "127.0.0.1", fmt.Sprint(g.Master.port))
	for range 3 {
		g.sentinels = append(g.sentinels, startSentinel(t, g.Master.port))
	}
	g.Replica.Await(func(ctx context.Context) error {
		info, err := g.Replica.client.Info(ctx, "replication").Result()
		if err == nil && !strings.Contains(info, "master_link_status:up") {
			err = errors.New("the replica is not in step")
		}
		return err
	})
	for _, s := range g.sentinels {
		s.Await(func(ctx context.Context) error {
			master, err := redis.NewMapStringStringCmd(ctx, "SENTINEL", "MASTER", masterName), error(nil)
			if err = s.client.Process(ctx, master); err != nil {
				return err
			}
			if m := master.Val(); m["num-other-sentinels"] != "2" || m["num-slaves"] != "1" {
				return fmt.Errorf("the sentinel knows %s others and %s replicas", m["num-other-sentinels"], m["num-slaves"])
			}
			return nil
		})
	}
	return g
}

// URL names every sentinel.
func (g *Guarded) URL() string {
	var hosts []string
	for _, s := range g.sentinels {
		hosts = append(hosts, s.Addr())
	}
	return "redis+sentinel://" + strings.Join(hosts, ",") + "/" + masterName + "/0"
}

// Failover kills the master and waits until the replica is one.
func (g *Guarded) Failover() {
	g.Master.Kill()
	g.Replica.Await(func(ctx context.Context) error {
		info, err := g.Replica.client.Info(ctx, "replication").Result()
		if err == nil && !strings.Contains(info, "role:master") {
			err = errors.New("the replica is not promoted")
		}
		return err
	})
}
