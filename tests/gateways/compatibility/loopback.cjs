// Loaded before the suite's own subgraphs, which would listen on every address of the machine.
const { Server } = require('node:net');

const { listen } = Server.prototype;
Server.prototype.listen = function (options, ...rest) {
  return listen.call(this, { ...options, host: '127.0.0.1' }, ...rest);
};
