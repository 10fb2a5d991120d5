// The presence service of code_racer on npm's socket.io, written for this
// comparison: what the Node program does and nothing that would slow it down.
// Every emit goes to all sockets, unbatched.
import { createServer } from 'node:http';
import { Server } from 'socket.io';

const http = createServer();
const io = new Server(http);
const users = {}; // by socket id, in order of joining

const tellAll = () => io.emit('online_users', Object.values(users));

io.on('connection', (socket) => {
  socket.on('register', (user) => {
    users[socket.id] = user;
    tellAll();
  });
  socket.on('disconnect', () => {
    delete users[socket.id];
    tellAll();
  });
  // For the broadcast row: one event to all, so many times in a row.
  socket.on('announce', (data, times) => {
    for (let i = 0; i < times; i++) io.emit('announced', data);
  });
});

http.listen(Number(process.env.PORT), '127.0.0.1');
