// A real Hive Metastore on the loopback interface, out of the jars that come with pyspark:
//     java -cp "JARS/*" Hms.java PORT FOLDER
// Its database (Derby) and its tables lie in the folder. Plain sockets, no authentication.
import java.net.InetSocketAddress;
import org.apache.hadoop.hive.conf.HiveConf;
import org.apache.hadoop.hive.metastore.HiveMetaStore;
import org.apache.hadoop.hive.metastore.TSetIpAddressProcessor;
import org.apache.hadoop.hive.metastore.api.ThriftHiveMetastore;
import org.apache.thrift.protocol.TBinaryProtocol;
import org.apache.thrift.server.TThreadPoolServer;
import org.apache.thrift.transport.TServerSocket;
import org.apache.thrift.transport.TTransportFactory;

public class Hms {
  public static void main(String[] arguments) throws Exception {
    int port = Integer.parseInt(arguments[0]);
    String folder = arguments[1];
    String[][] settings = {
      {"javax.jdo.option.ConnectionURL", "jdbc:derby:;databaseName=" + folder + "/db;create=true"},
      {"javax.jdo.option.ConnectionDriverName", "org.apache.derby.iapi.jdbc.AutoloadedDriver"},
      {"hive.metastore.schema.verification", "false"},
      {"datanucleus.schema.autoCreateAll", "true"},
      {"datanucleus.connectionPoolingType", "HikariCP"},
      {"hive.metastore.warehouse.dir", "file://" + folder + "/warehouse"},
    };
    HiveConf configuration = new HiveConf();
    for (String[] setting : settings) {
      configuration.set(setting[0], setting[1]);
      System.setProperty(setting[0], setting[1]);
    }
    ThriftHiveMetastore.Iface metastore =
        HiveMetaStore.newRetryingHMSHandler("hms", configuration, false);
    TServerSocket socket = new TServerSocket(new InetSocketAddress("127.0.0.1", port));
    new TThreadPoolServer(
            new TThreadPoolServer.Args(socket)
                .processor(new TSetIpAddressProcessor<ThriftHiveMetastore.Iface>(metastore))
                .transportFactory(new TTransportFactory())
                .protocolFactory(new TBinaryProtocol.Factory())
                .minWorkerThreads(4)
                .maxWorkerThreads(64))
        .serve();
  }
}
