package openbao

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openbao/openbao/api/v2"
)

// How long a token lives, at first and at most.
const life = 768 * 3600

const denied = "permission denied"

// The client has no helper for this method; its CLI has, and this is what that sends.
type byCertificate struct{ name string }

func (method byCertificate) Login(ctx context.Context, client *api.Client) (*api.Secret, error) {
	return client.Logical().WriteWithContext(ctx, "auth/cert/login", object{"name": method.name})
}

func (s server) login(t *testing.T) *api.SecretAuth {
	t.Helper()
	answer, err := s.Logical().WriteWithContext(s.ctx, "auth/cert/login", object{"name": ""})
	must(t, "login", err)
	if answer == nil || answer.Auth == nil {
		t.Fatalf("login: no auth in %+v", answer)
	}
	return answer.Auth
}

func (s server) create(t *testing.T, request api.TokenCreateRequest) *api.SecretAuth {
	t.Helper()
	answer, err := s.Auth().Token().CreateWithContext(s.ctx, &request)
	must(t, "create", err)
	if answer == nil || answer.Auth == nil {
		t.Fatalf("create: no auth in %+v", answer)
	}
	return answer.Auth
}

func isAbout(t *testing.T, what string, got, want int) {
	t.Helper()
	if got > want || got < want-30 {
		t.Errorf("%s: got %d, want %d or a little less", what, got, want)
	}
}

func seconds(t *testing.T, what string, number any) int {
	t.Helper()
	text, ok := number.(json.Number)
	holds(t, what+" is a number", ok)
	value, err := text.Int64()
	must(t, what, err)
	return int(value)
}

// works tells whether the server takes what this client presents.
func (s server) works() error {
	_, err := s.Logical().ReadWithContext(s.ctx, mount+"/config")
	return err
}

func TestLogin(t *testing.T) {
	s := connect(t)
	for what, body := range map[string]object{"a name": {"name": "web"}, "no name": {"name": ""}, "vaultrs' word": {"cert_name": "web"}, "null": nil} {
		answer, err := s.Logical().WriteWithContext(s.ctx, "auth/cert/login", body)
		must(t, "login with "+what, err)
		if answer == nil || answer.Auth == nil {
			t.Fatalf("login with %s: no auth in %+v", what, answer)
		}
		auth := answer.Auth
		parts := strings.Split(auth.ClientToken, ".")
		holds(t, what+": the token's form", len(parts) == 3 && parts[0] == "okms" && parts[1] == auth.Accessor && parts[2] != "")
		same(t, what+": policies", auth.Policies, []string{"default"})
		same(t, what+": token_policies", auth.TokenPolicies, []string{"default"})
		isAbout(t, what+": lease_duration", auth.LeaseDuration, life)
		same(t, what+": renewable", auth.Renewable, true)
		same(t, what+": orphan", auth.Orphan, true)
		same(t, what+": data", len(answer.Data), 0)
	}
	answer, err := s.Auth().Login(s.ctx, byCertificate{"web"})
	must(t, "Login", err)
	same(t, "the client takes the token over", s.Token(), answer.Auth.ClientToken)
	must(t, "and works with it", s.works())

	nobody := connectAs(t, identity{})
	_, err = nobody.Logical().WriteWithContext(s.ctx, "auth/cert/login", object{})
	if err == nil {
		t.Error("login without a certificate succeeded")
	}
}

func TestLookup(t *testing.T) {
	s := connect(t)
	auth := s.login(t)
	us := s.holding(t, auth.ClientToken)
	self, err := us.Auth().Token().LookupSelfWithContext(s.ctx)
	must(t, "lookup-self", err)
	byToken, err := s.Auth().Token().LookupWithContext(s.ctx, auth.ClientToken)
	must(t, "lookup", err)
	byAccessor, err := s.Auth().Token().LookupAccessorWithContext(s.ctx, auth.Accessor)
	must(t, "lookup-accessor", err)

	for what, answer := range map[string]*api.Secret{"lookup-self": self, "lookup": byToken, "lookup-accessor": byAccessor} {
		data := answer.Data
		want := auth.ClientToken
		if what == "lookup-accessor" {
			want = "" // An accessor must not lead to the token.
		}
		same(t, what+": id", data["id"], any(want))
		same(t, what+": accessor", data["accessor"], any(auth.Accessor))
		same(t, what+": policies", data["policies"], any([]any{"default"}))
		same(t, what+": path", data["path"], any("auth/cert/login"))
		same(t, what+": type", data["type"], any("service"))
		same(t, what+": renewable", data["renewable"], any(true))
		same(t, what+": orphan", data["orphan"], any(true))
		isNumber(t, what+": num_uses", data["num_uses"], "0")
		isNumber(t, what+": explicit_max_ttl", data["explicit_max_ttl"], "0")
		isAbout(t, what+": ttl", seconds(t, "ttl", data["ttl"]), life)
		same(t, what+": creation_ttl", seconds(t, "creation_ttl", data["creation_ttl"]), life)
		isRecent(t, what+": creation_time", time.Unix(int64(seconds(t, "creation_time", data["creation_time"])), 0))
		for key, offset := range map[string]time.Duration{"issue_time": 0, "expire_time": life * time.Second} {
			text, _ := data[key].(string)
			moment, err := time.Parse(time.RFC3339, text)
			must(t, what+": "+key, err)
			isRecent(t, what+": "+key, moment.Add(-offset))
		}
		for _, key := range []string{"display_name", "entity_id", "meta"} {
			_, there := data[key]
			holds(t, what+": "+key+" is there", there)
		}
	}
	policies, err := self.TokenPolicies()
	must(t, "TokenPolicies", err)
	same(t, "TokenPolicies", policies, []string{"default"})
	uses, err := self.TokenRemainingUses()
	must(t, "TokenRemainingUses", err)
	same(t, "TokenRemainingUses", uses, 0)
	_, err = self.TokenMetadata()
	must(t, "TokenMetadata", err)

	stranger := auth.ClientToken[:len(auth.ClientToken)-4] + "AAAA"
	for _, wrong := range []string{stranger, "hvs.nothing", "okms." + salt() + "." + salt()} {
		_, err = s.Auth().Token().LookupWithContext(s.ctx, wrong)
		fails(t, "lookup of "+wrong, err, 403, "bad token")
		fails(t, "work with "+wrong, s.holding(t, wrong).works(), 403, denied)
	}
	_, err = s.Auth().Token().LookupAccessorWithContext(s.ctx, salt())
	fails(t, "lookup of no accessor", err, 400, "invalid accessor")
}

func TestTokenCreate(t *testing.T) {
	s := connect(t)
	auth := s.create(t, api.TokenCreateRequest{TTL: "1h", DisplayName: "deploy", Metadata: map[string]string{"job": "42"}})
	isAbout(t, "lease_duration", auth.LeaseDuration, 3600)
	same(t, "renewable", auth.Renewable, true)
	same(t, "orphan", auth.Orphan, true)
	same(t, "policies", auth.Policies, []string{"default"})
	us := s.holding(t, auth.ClientToken)
	must(t, "work with it", us.works())
	self, err := us.Auth().Token().LookupSelfWithContext(s.ctx)
	must(t, "lookup-self", err)
	same(t, "path", self.Data["path"], any("auth/token/create"))
	same(t, "meta", self.Data["meta"], any(object{"job": "42"}))
	name, _ := self.Data["display_name"].(string)
	holds(t, "display_name "+name, strings.Contains(name, "deploy"))
	isAbout(t, "ttl", seconds(t, "ttl", self.Data["ttl"]), 3600)

	orphan, err := us.Auth().Token().CreateOrphanWithContext(s.ctx, &api.TokenCreateRequest{})
	must(t, "create-orphan", err)
	isAbout(t, "its lease_duration", orphan.Auth.LeaseDuration, life)
	must(t, "revoke the one that asked for it", us.Auth().Token().RevokeSelfWithContext(s.ctx, ""))
	must(t, "there are no children", s.holding(t, orphan.Auth.ClientToken).works())
	isAbout(t, "no token lives longer", s.create(t, api.TokenCreateRequest{TTL: "9000h"}).LeaseDuration, life)

	_, err = s.Auth().Token().CreateWithContext(s.ctx, &api.TokenCreateRequest{NumUses: 1})
	fails(t, "a number of uses", err, 400)
	_, err = s.Auth().Token().CreateWithContext(s.ctx, &api.TokenCreateRequest{TTL: "soon"})
	fails(t, "a ttl that is none", err, 400)
}

func TestTokenRenew(t *testing.T) {
	s := connect(t)
	tokens := s.Auth().Token()
	auth := s.create(t, api.TokenCreateRequest{TTL: "1h"})
	us := s.holding(t, auth.ClientToken)
	for what, renew := range map[string]func(increment int) (*api.Secret, error){
		"renew-self": func(n int) (*api.Secret, error) { return us.Auth().Token().RenewSelfWithContext(s.ctx, n) },
		"renew-self as": func(n int) (*api.Secret, error) {
			return tokens.RenewTokenAsSelfWithContext(s.ctx, auth.ClientToken, n)
		},
		"renew":          func(n int) (*api.Secret, error) { return tokens.RenewWithContext(s.ctx, auth.ClientToken, n) },
		"renew-accessor": func(n int) (*api.Secret, error) { return tokens.RenewAccessorWithContext(s.ctx, auth.Accessor, n) },
	} {
		for increment, want := range map[int]int{7200: 7200, 0: 3600, life * 2: life} {
			answer, err := renew(increment)
			must(t, what, err)
			if answer == nil || answer.Auth == nil {
				t.Fatalf("%s: no auth in %+v", what, answer)
			}
			isAbout(t, what+": lease_duration", answer.Auth.LeaseDuration, want)
			same(t, what+": renewable", answer.Auth.Renewable, true)
			same(t, what+": accessor", answer.Auth.Accessor, auth.Accessor)
			token := auth.ClientToken
			if what == "renew-accessor" {
				token = "" // As with a lookup.
			}
			same(t, what+": client_token", answer.Auth.ClientToken, token)
			self, err := us.Auth().Token().LookupSelfWithContext(s.ctx)
			must(t, "lookup-self", err)
			isAbout(t, what+": ttl", seconds(t, "ttl", self.Data["ttl"]), want)
		}
	}
	bounded := s.holding(t, s.create(t, api.TokenCreateRequest{TTL: "1h", ExplicitMaxTTL: "2h"}).ClientToken)
	answer, err := bounded.Auth().Token().RenewSelfWithContext(s.ctx, 9*3600)
	must(t, "renew with a bound", err)
	isAbout(t, "not beyond its own bound", answer.Auth.LeaseDuration, 7200)
	fixed := s.holding(t, s.create(t, api.TokenCreateRequest{TTL: "1h", Renewable: ptr(false)}).ClientToken)
	_, err = fixed.Auth().Token().RenewSelfWithContext(s.ctx, 3600)
	fails(t, "renew what cannot be", err, 400, "lease is not renewable")
}

// What keeps a long-running program's token alive.
func TestLifetimeWatcher(t *testing.T) {
	s := connect(t)
	answer, err := s.Auth().Token().CreateWithContext(s.ctx, &api.TokenCreateRequest{TTL: "4s"})
	must(t, "create", err)
	us := s.holding(t, answer.Auth.ClientToken)
	watcher, err := us.NewLifetimeWatcher(&api.LifetimeWatcherInput{Secret: answer})
	must(t, "watcher", err)
	go watcher.Start()
	defer watcher.Stop()
	for renewal := range 3 {
		select {
		case renewed := <-watcher.RenewCh():
			isAbout(t, "renewed for", renewed.Secret.Auth.LeaseDuration, 4)
		case err := <-watcher.DoneCh():
			t.Fatalf("the watcher gave up after %d renewals: %v", renewal, err)
		case <-time.After(10 * time.Second):
			t.Fatalf("no renewal %d", renewal)
		}
	}
	must(t, "the token outlives its first life", us.works())

	short := s.create(t, api.TokenCreateRequest{TTL: "2s"})
	must(t, "a short life", s.holding(t, short.ClientToken).works())
	time.Sleep(2100 * time.Millisecond)
	fails(t, "is over", s.holding(t, short.ClientToken).works(), 403, denied)
}

func TestTokenRevoke(t *testing.T) {
	s := connect(t)
	tokens := s.Auth().Token()
	for what, revoke := range map[string]func(auth *api.SecretAuth) error{
		"revoke-self": func(auth *api.SecretAuth) error {
			return s.holding(t, auth.ClientToken).Auth().Token().RevokeSelfWithContext(s.ctx, "")
		},
		"revoke":          func(auth *api.SecretAuth) error { return tokens.RevokeTreeWithContext(s.ctx, auth.ClientToken) },
		"revoke-orphan":   func(auth *api.SecretAuth) error { return tokens.RevokeOrphanWithContext(s.ctx, auth.ClientToken) },
		"revoke-accessor": func(auth *api.SecretAuth) error { return tokens.RevokeAccessorWithContext(s.ctx, auth.Accessor) },
	} {
		auth := s.login(t)
		other := s.login(t)
		us := s.holding(t, auth.ClientToken)
		must(t, what+": before", us.works())
		must(t, what, revoke(auth))
		fails(t, what+": work with it", us.works(), 403, denied)
		_, err := us.Auth().Token().LookupSelfWithContext(s.ctx)
		fails(t, what+": lookup-self", err, 403, denied)
		_, err = us.Auth().Token().RenewSelfWithContext(s.ctx, 0)
		fails(t, what+": renew-self", err, 403, denied)
		_, err = tokens.LookupWithContext(s.ctx, auth.ClientToken)
		fails(t, what+": lookup", err, 403, "bad token")
		_, err = us.Sys().HealthWithContext(s.ctx)
		must(t, what+": what is open to all stays open", err)
		must(t, what+": another token of the same certificate", s.holding(t, other.ClientToken).works())
		must(t, what+": the certificate alone", s.works())
	}
}

func TestForeignDomain(t *testing.T) {
	s := connectTo(t, env(t, "KMS_RESTAPI_ENDPOINT")+"/api/00000000-0000-4000-8000-000000000000", ourIdentity(t))
	// Raw: of a 404 the client's own read tells no more than that nothing is there.
	_, read := s.Logical().ReadRawWithContext(s.ctx, mount+"/data/x")
	_, write := s.KVv2(mount).Put(s.ctx, "x", object{})
	_, login := s.Logical().WriteWithContext(s.ctx, "auth/cert/login", object{})
	for what, err := range map[string]error{"read": read, "write": write, "login": login} {
		failsWith(t, what, err, 403, "there is no such domain for your certificate")
	}
}

// A token is worth nothing without the key that it was given to.
func TestTokenIsBound(t *testing.T) {
	s := connect(t)
	path := s.folder(t) + "/bound"
	s.put(t, mount, path, object{"k": "v"})
	auth := s.login(t)
	us := s.holding(t, auth.ClientToken)
	must(t, "with its certificate", us.works())

	// A proxy's way to say it.
	bearer := s.holding(t, "")
	bearer.AddHeader("Authorization", "Bearer "+auth.ClientToken)
	must(t, "as a bearer token", bearer.works())
	bearer = s.holding(t, "")
	bearer.AddHeader("Authorization", "Bearer "+auth.ClientToken+"x")
	fails(t, "as a wrong bearer token", bearer.works(), 403, denied)

	nobody := connectAs(t, identity{})
	refused := func(what string, by server, status int, texts ...string) {
		t.Helper()
		_, err := by.KVv2(mount).Get(s.ctx, path)
		fails(t, what+": get", err, status, texts...)
		_, err = by.KVv2(mount).Put(s.ctx, path, object{"k": "w"})
		fails(t, what+": put", err, status, texts...)
		_, err = by.KVv2(mount).Patch(s.ctx, path, object{"k": "w"})
		fails(t, what+": patch", err, status, texts...)
		fails(t, what+": delete", by.KVv2(mount).Delete(s.ctx, path), status, texts...)
		_, err = by.KVv2(mount).List(s.ctx, "")
		fails(t, what+": list", err, status, texts...)
		_, err = by.Auth().Token().LookupSelfWithContext(s.ctx)
		fails(t, what+": lookup-self", err, status, texts...)
		_, err = by.Auth().Token().CreateWithContext(s.ctx, &api.TokenCreateRequest{})
		fails(t, what+": create", err, status, texts...)
		fails(t, what+": revoke-self", by.Auth().Token().RevokeSelfWithContext(s.ctx, ""), status, texts...)
		_, err = by.Sys().ListMountsWithContext(s.ctx)
		fails(t, what+": mounts", err, status, texts...)
		_, err = by.Sys().HealthWithContext(s.ctx)
		must(t, what+": health", err)
	}
	refused("no certificate, no token", nobody, 401)
	refused("no certificate", nobody.holding(t, auth.ClientToken), 403, denied)
	t.Run("another certificate", func(t *testing.T) {
		other := connectAs(t, anotherIdentity(t))
		must(t, "it works for itself", other.works())
		refused("another certificate", other.holding(t, auth.ClientToken), 403, denied)
		theirs := other.login(t)
		must(t, "with its own token", other.holding(t, theirs.ClientToken).works())
		refused("their token with ours", s.holding(t, theirs.ClientToken), 403, denied)
	})
	t.Run("a new certificate for the same key", func(t *testing.T) {
		us := ourIdentity(t)
		pair, err := tls.LoadX509KeyPair(us.certificate, us.key)
		must(t, "our key", err)
		request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, pair.PrivateKey)
		must(t, "signing request", err)
		file := filepath.Join(t.TempDir(), "request.pem")
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request})
		must(t, "signing request", os.WriteFile(file, text, 0o600))
		renewed := connectAs(t, identity{anotherIdentity(t, file).certificate, us.key})
		must(t, "a token outlives its certificate", renewed.holding(t, auth.ClientToken).works())
	})
	same(t, "nothing was changed", s.get(t, mount, path).VersionMetadata.Version, 1)
	must(t, "and the token still works", us.works())
}
