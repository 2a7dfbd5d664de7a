// Whether a GET of this URL is answered with a 2xx.
const { ok } = await fetch(process.argv[2], { headers: { 'apollo-require-preflight': '1' } }).catch(() => ({ ok: false }));
process.exit(ok ? 0 : 1);
