// Behind Apollo's gateway.
import { after, before } from 'node:test';
import { startApollo } from './apollo.mjs';
import { behind } from './behind.mjs';
import { sdl, startProjects } from './projects.mjs';
import { startVault } from './vault.mjs';

let vault, projects, gateway;
before(async () => {
  [vault, projects] = await Promise.all([startVault(), startProjects()]);
  gateway = await startApollo([
    { name: 'projects', url: projects.url, sdl },
    { name: 'vault', url: vault.url, sdl: await vault.sdl() },
  ], {
    // The caller's token goes to every subgraph.
    headers: ({ context }) => (context.authorization ? { authorization: context.authorization } : {}),
  });
});
after(() => Promise.all([gateway?.stop(), vault?.stop(), projects?.stop()]));

behind('apollo', () => ({ url: gateway.url, vault }));
