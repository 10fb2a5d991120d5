// COMPAT=strict beside the Node service on socket.io 1.7, as it was in its
// time, with the clients that it serves.
import { beside } from './racing/beside.mjs';

beside('1.7.4', [1, 2, 3]);
