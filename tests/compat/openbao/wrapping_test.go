package openbao

import (
	"strings"
	"testing"
	"time"

	"github.com/openbao/openbao/api/v2"
)

const usedUp = "wrapping token is not valid or does not exist"

// wrapping is the same client, which has every answer wrapped.
func (s server) wrapping(t *testing.T, ttl string) server {
	t.Helper()
	clone := s.holding(t, s.Token())
	clone.SetWrappingLookupFunc(func(string, string) string { return ttl })
	return clone
}

func isWrapped(t *testing.T, what string, answer *api.Secret, err error, ttl int, path string) *api.SecretWrapInfo {
	t.Helper()
	must(t, what, err)
	if answer == nil || answer.WrapInfo == nil {
		t.Fatalf("%s: not wrapped: %+v", what, answer)
	}
	same(t, what+": nothing beside it", len(answer.Data), 0)
	same(t, what+": ttl", answer.WrapInfo.TTL, ttl)
	// Of a list, Vault says it with a slash at the end.
	same(t, what+": creation_path", strings.TrimSuffix(answer.WrapInfo.CreationPath, "/"), path)
	isRecent(t, what+": creation_time", answer.WrapInfo.CreationTime)
	holds(t, what+": token and accessor", answer.WrapInfo.Token != "" && answer.WrapInfo.Accessor != "")
	return answer.WrapInfo
}

func TestWrappedRead(t *testing.T) {
	s := connect(t)
	folder := s.folder(t)
	path := mount + "/data/" + folder + "/wrapped"
	s.put(t, mount, folder+"/wrapped", object{"k": "v"})
	wrapping := s.wrapping(t, "90s")

	answer, err := wrapping.Logical().ReadWithContext(s.ctx, path)
	info := isWrapped(t, "read", answer, err, 90, path)
	// The client sends the token in the body where it has one of its own, and as its own where it has none.
	us := s.holding(t, s.login(t).ClientToken)
	got, err := us.Logical().UnwrapWithContext(s.ctx, info.Token)
	must(t, "unwrap", err)
	same(t, "unwrapped", at(t, "unwrapped", got.Data, "data"), object{"k": "v"})
	for range 2 {
		_, err = us.Logical().UnwrapWithContext(s.ctx, info.Token)
		fails(t, "unwrap again", err, 400, usedUp)
	}
	answer, err = wrapping.Logical().ReadWithContext(s.ctx, path)
	info = isWrapped(t, "read", answer, err, 90, path)
	got, err = s.holding(t, "").Logical().UnwrapWithContext(s.ctx, info.Token)
	must(t, "unwrap by the token alone", err)
	same(t, "unwrapped by the token alone", at(t, "unwrapped", got.Data, "data"), object{"k": "v"})
	_, err = us.Logical().UnwrapWithContext(s.ctx, info.Token)
	fails(t, "unwrap again, by the other way", err, 400, usedUp)
	_, err = s.holding(t, "").Logical().UnwrapWithContext(s.ctx, info.Token)
	fails(t, "unwrap again by the token alone", err, 400, usedUp)

	// Writes and lists have answers too. What has none is not wrapped, nor is a refusal.
	answer, err = wrapping.Logical().WriteWithContext(s.ctx, path, object{"data": object{"k": "w"}})
	info = isWrapped(t, "write", answer, err, 90, path)
	got, err = us.Logical().UnwrapWithContext(s.ctx, info.Token)
	must(t, "unwrap a write", err)
	isNumber(t, "its version", got.Data["version"], "2")
	answer, err = wrapping.Logical().ListWithContext(s.ctx, mount+"/metadata/"+folder)
	isWrapped(t, "list", answer, err, 90, mount+"/metadata/"+folder)
	_, err = wrapping.Logical().WriteWithContext(s.ctx, path, object{"data": object{}, "options": object{"cas": 7}})
	fails(t, "a refused write", err, 400, casMismatch)
	answer, err = wrapping.Logical().ReadWithContext(s.ctx, mount+"/data/"+folder+"/nothing")
	must(t, "nothing", err)
	holds(t, "nothing is not wrapped", answer == nil)
	answer, err = wrapping.Logical().DeleteWithContext(s.ctx, path)
	must(t, "delete", err)
	holds(t, "no content is not wrapped", answer == nil)
	health, err := wrapping.Sys().HealthWithContext(s.ctx)
	must(t, "health", err)
	holds(t, "health is not wrapped", health.Initialized)

	// A deleted version's 404 is an answer: it is wrapped with its status.
	answer, err = wrapping.Logical().ReadWithContext(s.ctx, path)
	info = isWrapped(t, "read of a deleted one", answer, err, 90, path)
	got, err = us.Logical().UnwrapWithContext(s.ctx, info.Token)
	must(t, "unwrap it", err)
	same(t, "its data", got.Data["data"], nil)
	isNumber(t, "its version", at(t, "unwrapped", got.Data, "metadata")["version"], "2")

	for _, wrong := range []string{"-1s", "soon"} {
		_, err = s.wrapping(t, wrong).Logical().ReadWithContext(s.ctx, path)
		failsWith(t, "a ttl of "+wrong, err, 400, "error parsing X-Vault-Wrap-TTL header: ")
	}
	answer, err = s.wrapping(t, "1s").Logical().ReadWithContext(s.ctx, mount+"/config")
	info = isWrapped(t, "for a second", answer, err, 1, mount+"/config")
	time.Sleep(1100 * time.Millisecond)
	_, err = us.Logical().UnwrapWithContext(s.ctx, info.Token)
	fails(t, "unwrap too late", err, 400, usedUp)
}

// sys/wrapping, which keeps anything.
func TestWrap(t *testing.T) {
	s := connect(t)
	us := s.holding(t, s.login(t).ClientToken)
	// The client asks for five minutes here of its own accord.
	wrap := func(data object) *api.SecretWrapInfo {
		t.Helper()
		answer, err := s.Logical().WriteWithContext(s.ctx, "sys/wrapping/wrap", data)
		return isWrapped(t, "wrap", answer, err, 300, "sys/wrapping/wrap")
	}
	call := func(what, token string) (*api.Secret, error) {
		return s.Logical().WriteWithContext(s.ctx, "sys/wrapping/"+what, object{"token": token})
	}
	info := wrap(object{"user": "app", "deep": object{"list": []any{"a"}}})
	for range 2 {
		looked, err := call("lookup", info.Token)
		must(t, "lookup", err)
		same(t, "creation_path", looked.Data["creation_path"], any("sys/wrapping/wrap"))
		isNumber(t, "creation_ttl", looked.Data["creation_ttl"], "300")
		text, _ := looked.Data["creation_time"].(string)
		created, err := time.Parse(time.RFC3339, text)
		must(t, "creation_time", err)
		isRecent(t, "creation_time", created)
	}
	answer, err := call("rewrap", info.Token)
	again := isWrapped(t, "rewrap", answer, err, 300, "sys/wrapping/wrap")
	holds(t, "a new token", again.Token != info.Token)
	_, err = call("unwrap", info.Token)
	fails(t, "unwrap by the old one", err, 400, usedUp)
	got, err := call("unwrap", again.Token)
	must(t, "unwrap", err)
	same(t, "unwrapped", got.Data, object{"user": "app", "deep": object{"list": []any{"a"}}})
	for _, what := range []string{"lookup", "rewrap", "unwrap"} {
		_, err = call(what, again.Token)
		fails(t, what+" of what is used up", err, 400, usedUp)
		_, err = call(what, "hvs.nothing")
		fails(t, what+" of what never was", err, 400, usedUp)
	}

	// Of many who unwrap at once, one gets it.
	info = wrap(object{"k": "v"})
	const callers = 8
	outcomes := make(chan error, callers)
	for range callers {
		go func() {
			_, err := call("unwrap", info.Token)
			outcomes <- err
		}()
	}
	won := 0
	for range callers {
		if err := <-outcomes; err == nil {
			won++
		} else {
			fails(t, "one too late", err, 400, usedUp)
		}
	}
	same(t, "who got it", won, 1)

	// A wrapping token opens its own answer alone.
	info = wrap(object{"k": "v"})
	fails(t, "read a secret with a wrapping token", s.holding(t, info.Token).works(), 403, denied)
	// And a token that opens secrets is none.
	_, err = call("unwrap", us.Token())
	fails(t, "unwrap an access token", err, 400, usedUp)
	must(t, "which still works", us.works())
}

func TestWrappedLogin(t *testing.T) {
	s := connect(t)
	answer, err := s.wrapping(t, "1m").Logical().WriteWithContext(s.ctx, "auth/cert/login", object{})
	info := isWrapped(t, "login", answer, err, 60, "auth/cert/login")
	holds(t, "no auth beside it", answer.Auth == nil)
	got, err := s.holding(t, "").Logical().UnwrapWithContext(s.ctx, info.Token)
	must(t, "unwrap", err)
	if got == nil || got.Auth == nil {
		t.Fatalf("unwrap: no auth in %+v", got)
	}
	same(t, "wrapped_accessor", got.Auth.Accessor, info.WrappedAccessor)
	must(t, "work with the token", s.holding(t, got.Auth.ClientToken).works())
}

// Anybody of the domain may unwrap, and nobody else.
func TestUnwrapByOthers(t *testing.T) {
	s := connect(t)
	answer, err := s.Logical().WriteWithContext(s.ctx, "sys/wrapping/wrap", object{"k": "v"})
	info := isWrapped(t, "wrap", answer, err, 300, "sys/wrapping/wrap")
	nobody := connectAs(t, identity{})
	_, err = nobody.Logical().WriteWithContext(s.ctx, "sys/wrapping/unwrap", object{"token": info.Token})
	fails(t, "no certificate, the token in the body", err, 401)
	_, err = nobody.Logical().UnwrapWithContext(s.ctx, info.Token)
	fails(t, "no certificate, the token as its own", err, 403, denied)
	looked, err := s.Logical().WriteWithContext(s.ctx, "sys/wrapping/lookup", object{"token": info.Token})
	must(t, "still there", err)
	isNumber(t, "still there", looked.Data["creation_ttl"], "300")
	other := connectAs(t, anotherIdentity(t))
	got, err := other.Logical().UnwrapWithContext(s.ctx, info.Token)
	must(t, "another certificate of the domain", err)
	same(t, "unwrapped", got.Data, object{"k": "v"})
}
